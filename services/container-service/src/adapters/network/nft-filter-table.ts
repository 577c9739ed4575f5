/** What is needed of `nft -j -a list table ip filter`. */

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

interface NftItem {
  readonly chain?: { readonly name: string; readonly policy?: string };
  readonly rule?: NftRule;
}

interface NftRule {
  readonly chain: string;
  readonly handle: number;
  readonly comment?: string;
  readonly expr?: readonly NftExpression[];
}

interface NftExpression {
  readonly jump?: { readonly target: string } | undefined;
  readonly match?: {
    readonly left?: { readonly meta?: { readonly key?: string } };
    readonly right?: unknown;
  };
}

/** Throws SyntaxError for what is not JSON. */
export function parseFilterTable(json: string, tag: string): FilterChain[] {
  const { nftables = [] } = JSON.parse(json) as { nftables?: readonly NftItem[] };
  const rules = nftables.flatMap(({ rule }) => rule ?? []);
  return nftables
    .flatMap(({ chain }) => chain ?? [])
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
