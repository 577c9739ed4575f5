/** What is needed of `nft -j list table`. */
import type { TableListing } from "../../ports/network-host.ts";

/** Counts rules by chain and elements by set or map. Throws SyntaxError for what is not JSON. */
export function parseTableListing(json: string): TableListing {
  const rules = new Map<string, number>();
  const elements = new Map<string, number>();
  const { nftables = [] } = JSON.parse(json) as { nftables?: readonly Record<string, NftObject>[] };
  for (const item of nftables) {
    const { chain, rule, set, map } = item;
    if (chain?.name !== undefined) rules.set(chain.name, rules.get(chain.name) ?? 0);
    if (rule?.chain !== undefined) rules.set(rule.chain, (rules.get(rule.chain) ?? 0) + 1);
    for (const named of [set, map]) {
      if (named?.name !== undefined) elements.set(named.name, named.elem?.length ?? 0);
    }
  }
  return { rules, elements };
}

interface NftObject {
  readonly name?: string;
  readonly chain?: string;
  readonly elem?: readonly unknown[];
}
