/** What is needed of `nft -j list ruleset`. */
import type { TableListing } from "../../ports/network-host.ts";

/** One entry of the listing: an object of one of these kinds. */
export interface NftItem {
  readonly table?: NftObject;
  readonly chain?: NftObject;
  readonly rule?: NftRule;
  readonly set?: NftObject;
  readonly map?: NftObject;
}

export interface NftObject {
  readonly family: string;
  readonly table?: string;
  readonly name: string;
  readonly policy?: string;
  readonly elem?: readonly unknown[];
}

export interface NftRule {
  readonly family: string;
  readonly table: string;
  readonly chain: string;
  readonly handle: number;
  readonly comment?: string;
  readonly expr?: readonly NftExpression[];
}

export interface NftExpression {
  readonly jump?: { readonly target: string } | undefined;
  readonly match?: {
    readonly left?: { readonly meta?: { readonly key?: string } };
    readonly right?: unknown;
  };
}

/** Throws SyntaxError for what is not JSON. */
export function parseNftItems(json: string): readonly NftItem[] {
  const { nftables = [] } = JSON.parse(json) as { nftables?: readonly NftItem[] };
  return nftables;
}

/** Counts rules by chain and elements by set or map; undefined when there is no such table of the family inet. */
export function parseTableListing(json: string, table: string): TableListing | undefined {
  const rules = new Map<string, number>();
  const elements = new Map<string, number>();
  let exists = false;
  for (const item of parseNftItems(json)) {
    if (item.table?.family === "inet" && item.table.name === table) exists = true;
    const { chain, rule, set, map } = item;
    const part = chain ?? rule ?? set ?? map;
    if (part?.family !== "inet" || part.table !== table) continue;
    if (chain !== undefined) rules.set(chain.name, rules.get(chain.name) ?? 0);
    if (rule !== undefined) rules.set(rule.chain, (rules.get(rule.chain) ?? 0) + 1);
    for (const named of [set, map]) {
      if (named !== undefined) elements.set(named.name, named.elem?.length ?? 0);
    }
  }
  return exists ? { rules, elements } : undefined;
}
