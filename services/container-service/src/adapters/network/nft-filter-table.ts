/** The table `filter` of iptables-nft, in which other engines keep their rules. */
import { type NftRule, parseNftItems } from "./nft-json.ts";

/** A chain of another engine's table, and our rules in it. */
export interface FilterChain {
  readonly name: string;
  /** `drop` or `accept` of a base chain, else empty. */
  readonly policy: string;
  /** Chains that it jumps to. */
  readonly jumpsTo: readonly string[];
  readonly ours: readonly OwnRule[];
}

/** A rule of ours: told by its comment. */
export interface OwnRule {
  readonly handle: number;
  /** `iifname` or `oifname`. */
  readonly direction: string;
  readonly link: string;
}

/** Its chains in one family (`ip`, `ip6`). Throws SyntaxError for what is not JSON. */
export function parseFilterTable(json: string, family: string, tag: string): FilterChain[] {
  const items = parseNftItems(json);
  const isTheirs = (each: { family: string; table?: string }): boolean =>
    each.family === family && each.table === "filter";
  const rules = items.flatMap(({ rule }) => rule ?? []).filter(isTheirs);
  return items
    .flatMap(({ chain }) => chain ?? [])
    .filter(isTheirs)
    .map(({ name, policy = "" }) => {
      const own = rules.filter((rule) => rule.chain === name);
      return {
        name,
        policy,
        jumpsTo: own.flatMap(({ expr = [] }) => expr.flatMap(({ jump }) => jump?.target ?? [])),
        ours: own.filter(({ comment }) => comment === tag).flatMap(toOwnRule),
      };
    });
}

function toOwnRule({ handle, expr = [] }: NftRule): OwnRule[] {
  for (const { match } of expr) {
    const direction = match?.left?.meta?.key;
    if (direction !== undefined && typeof match?.right === "string") {
      return [{ handle, direction, link: match.right }];
    }
  }
  return [{ handle, direction: "", link: "" }];
}
