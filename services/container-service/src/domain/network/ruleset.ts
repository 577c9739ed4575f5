/**
 * The nftables rules of the engine, as text for `nft -f -`. Everything is in one table of the family
 * inet that is ours alone:
 *
 *   prerouting, output   destination NAT of published ports, by maps from (protocol, address, port)
 *   postrouting          masquerading of what leaves a network, and of what comes back to the network
 *                        it started from (hairpin)
 *   forward              isolation: into a bridge come only its own neighbours, answers, and what was
 *                        sent to a published port; from and to an internal network nothing passes;
 *                        gateway modes that let in more have sets of their own, and networks without masquerading
 *                        (`bare`) call no other one
 *
 * A drop here is final; an accept is not: other tables may still drop (see foreign-firewall.ts).
 */
import { type Address, type Family, formatAddress, formatSubnet, type Subnet } from "./address.ts";
import { interfacePatterns } from "./trusted-interfaces.ts";

export type Protocol = "tcp" | "udp" | "sctp";

/** A bridge with its rules. */
export interface BridgeRules {
  /** Name of the bridge. */
  readonly link: string;
  readonly subnets: readonly Subnet[];
  /** Nothing goes in or out. */
  readonly internal: boolean;
  /** Hide the containers behind the host's address. Where they are not, other networks' ports are out of their reach. */
  readonly masquerade: boolean;
  /** The addresses to hide behind, one of a family at most; none: that of the link out. */
  readonly sources?: readonly Address[];
  /** Containers of this network may talk to each other. */
  readonly interContainer: boolean;
  /** What a route from outside leads to, by family; absent: nothing. With `published` nothing is masqueraded. */
  readonly direct?: Readonly<Partial<Record<Family, "published" | "everything" | undefined>>>;
  /** Interfaces of the host by which a route leads to published ports, too (`trusted-interfaces.ts`). */
  readonly trusted?: readonly string[];
}

/** A published port that the kernel redirects, or lets through. Both addresses are of one family. */
export interface RedirectedPort {
  readonly protocol: Protocol;
  /** Absent: every address of the host but the loopback. */
  readonly hostAddress?: Address | undefined;
  /** Absent: not redirected, the container's address and port may be called from outside. */
  readonly hostPort?: number;
  /** It may be called by the interfaces that its network trusts alone. */
  readonly onlyTrusted?: boolean;
  readonly containerAddress: Address;
  readonly containerPort: number;
}

/** All that the table is made from. */
export interface Ruleset {
  readonly table: string;
  readonly bridges: readonly BridgeRules[];
  readonly ports: readonly RedirectedPort[];
  /** Bridges of other engines, which our containers must not reach past those engines' rules. */
  readonly foreignBridges: readonly string[];
}

const families: readonly Family[] = [4, 6];

/** Replaces the whole table in one transaction. Established connections keep their translation. */
export function renderRuleset(ruleset: Ruleset): string {
  const { table } = ruleset;
  return [
    `table inet ${table} {}`,
    `delete table inet ${table}`,
    `table inet ${table} {`,
    ...renderSets(ruleset),
    ...renderMaps(ruleset.ports),
    ...renderDnatChains(),
    ...renderMasquerade(ruleset.bridges),
    ...renderForward(ruleset.bridges),
    "}",
    "",
  ].join("\n");
}

/** Removes the table; no error when it is not there. */
export function renderRemoval(table: string): string {
  return `table inet ${table} {}\ndelete table inet ${table}\n`;
}

/** Name of the map, or set, that a published port is in. */
export function mapName(port: RedirectedPort): string {
  const { family } = port.containerAddress;
  if (port.hostPort === undefined) return `${port.onlyTrusted ? "trusted" : "direct"}${family}`;
  const scope = port.hostAddress === undefined ? "any" : "one";
  return `dnat${family}${scope}`;
}

function element(port: RedirectedPort): string {
  const own = `${formatAddress(port.containerAddress)} . ${port.containerPort}`;
  if (port.hostPort === undefined) return `${port.protocol} . ${own}`;
  const host = port.hostAddress === undefined ? "" : `${formatAddress(port.hostAddress)} . `;
  return `${port.protocol} . ${host}${port.hostPort} : ${own}`;
}

function quoted(names: readonly string[]): string {
  return names.map((name) => `"${name}"`).join(", ");
}

function renderSet(name: string, type: string, elements: string): string {
  const list = elements === "" ? "" : ` elements = { ${elements} }`;
  return `  set ${name} { type ${type};${list} }`;
}

function renderSets({ bridges, foreignBridges }: Ruleset): string[] {
  const links = (some: readonly BridgeRules[]): string => quoted(some.map((bridge) => bridge.link));
  const open = bridges.filter((bridge) => bridge.interContainer);
  const pairs = open.map((bridge) => `"${bridge.link}" . "${bridge.link}"`).join(", ");
  return [
    renderSet("bridges", "ifname", links(bridges)),
    renderSet("internal", "ifname", links(bridges.filter((bridge) => bridge.internal))),
    renderSet("neighbours", "ifname . ifname", pairs),
    renderSet("apart", "ifname", links(bridges.filter((bridge) => !bridge.interContainer))),
    renderSet("bare", "ifname", links(bridges.filter((bridge) => !bridge.masquerade))),
    renderSet("foreign", "ifname", quoted(foreignBridges)),
    ...directSets(bridges).map(({ name, members }) => renderSet(name, "ifname", links(members))),
  ];
}

/** Bridges by what a route from outside leads to. */
export function directSets(
  bridges: readonly BridgeRules[],
): { readonly name: string; readonly members: readonly BridgeRules[] }[] {
  return families.flatMap((family) => [
    { name: `routed${family}`, members: bridges.filter(isDirect(family, "published")) },
    { name: `open${family}`, members: bridges.filter(isDirect(family, "everything")) },
  ]);
}

function isDirect(family: Family, what: "published" | "everything") {
  return ({ direct, internal }: BridgeRules): boolean => !internal && direct?.[family] === what;
}

function renderMaps(ports: readonly RedirectedPort[]): string[] {
  const byMap = Map.groupBy(ports, mapName);
  const direct = ["direct4", "direct6", "trusted4", "trusted6"].map((name) => {
    const family = name.endsWith("4") ? 4 : 6;
    const elements = (byMap.get(name) ?? []).map(element).join(", ");
    return renderSet(name, `inet_proto . ipv${family}_addr . inet_service`, elements);
  });
  const redirecting = families.flatMap((family) =>
    ["any", "one"].map((scope) => {
      const name = `dnat${family}${scope}`;
      const address = `ipv${family}_addr`;
      const key =
        scope === "any" ? "inet_proto . inet_service" : `inet_proto . ${address} . inet_service`;
      const elements = (byMap.get(name) ?? []).map(element).join(", ");
      const list = elements === "" ? "" : ` elements = { ${elements} }`;
      return `  map ${name} { type ${key} : ${address} . inet_service;${list} }`;
    }),
  );
  return [...direct, ...redirecting];
}

// The map lookup ends the rule when the port is not published.
const dnatRules: readonly string[] = [
  "    dnat ip to meta l4proto . ip daddr . th dport map @dnat4one",
  "    dnat ip to meta l4proto . th dport map @dnat4any",
  "    dnat ip6 to meta l4proto . ip6 daddr . th dport map @dnat6one",
  "    dnat ip6 to meta l4proto . th dport map @dnat6any",
];

function renderDnatChains(): string[] {
  return [
    "  chain published {",
    "    meta l4proto != { tcp, udp, sctp } return",
    ...dnatRules,
    "  }",
    "  chain prerouting {",
    "    type nat hook prerouting priority dstnat; policy accept;",
    // Their bridge ports are isolated, which frames for a neighbour's or the own published port would meet: the relay
    // brings them over.
    "    iifname @apart meta l4proto { tcp, udp } return",
    "    fib daddr type local jump published",
    "  }",
    "  chain output {",
    // The loopback is the relay's: an address of 127.0.0.0/8 may not leave the host as a source.
    "    type nat hook output priority -100; policy accept;",
    "    ip daddr 127.0.0.0/8 return",
    "    ip6 daddr ::1 return",
    "    fib daddr type local jump published",
    "  }",
  ];
}

function renderMasquerade(bridges: readonly BridgeRules[]): string[] {
  const rules = bridges.filter((bridge) => !bridge.internal).flatMap(masqueradeOf);
  return [
    "  chain postrouting {",
    "    type nat hook postrouting priority srcnat; policy accept;",
    ...rules,
    "  }",
  ];
}

function masqueradeOf(bridge: BridgeRules): string[] {
  return bridge.subnets.flatMap((subnet) => {
    const ip = subnet.family === 4 ? "ip" : "ip6";
    const cidr = formatSubnet(subnet);
    // A container that calls a published port of its own network gets its answer from the same
    // address only if that answer comes back through us.
    const hairpin = `    ${ip} saddr ${cidr} ${ip} daddr ${cidr} ct status dnat masquerade`;
    const source = bridge.sources?.find(({ family }) => family === subnet.family);
    const way = source === undefined ? "masquerade" : `snat ${ip} to ${formatAddress(source)}`;
    const outwards = `    ${ip} saddr ${cidr} oifname != "${bridge.link}" ${way}`;
    const isHidden = bridge.masquerade && bridge.direct?.[subnet.family] !== "published";
    return isHidden ? [hairpin, outwards] : [hairpin];
  });
}

function renderForward(bridges: readonly BridgeRules[]): string[] {
  return [
    "  chain trusting {",
    "    iifname @bridges return",
    "    meta l4proto . ip daddr . th dport @trusted4 accept",
    "    meta l4proto . ip6 daddr . th dport @trusted6 accept",
    "  }",
    "  chain forwarding {",
    "    type filter hook forward priority -10; policy accept;",
    "    iifname . oifname @neighbours accept",
    "    iifname @internal drop",
    "    oifname @internal drop",
    "    oifname @bridges jump inwards",
    "    iifname @bridges oifname @foreign ct state new drop",
    "  }",
    "  chain inwards {",
    "    ct state established,related accept",
    "    iifname @bare drop",
    "    ct status dnat accept",
    "    meta l4proto . ip daddr . th dport @direct4 accept",
    "    meta l4proto . ip6 daddr . th dport @direct6 accept",
    "    meta nfproto ipv4 oifname @routed4 meta l4proto icmp accept",
    "    meta nfproto ipv6 oifname @routed6 meta l4proto icmpv6 accept",
    // Our other networks stay apart.
    "    meta nfproto ipv4 oifname @open4 iifname != @bridges accept",
    "    meta nfproto ipv6 oifname @open6 iifname != @bridges accept",
    ...bridges.flatMap(trustOf),
    "    drop",
    "  }",
  ];
}

function trustOf({ link, internal, trusted = [] }: BridgeRules): string[] {
  const callers = internal ? [] : interfacePatterns(trusted);
  return callers.map((caller) => {
    // nft has no pattern for all names.
    const from = caller === "*" ? "" : `iifname "${caller}" `;
    return `    ${from}oifname "${link}" jump trusting`;
  });
}

/** How many rules each chain has, for finding out whether somebody flushed them. */
export function countRules(bridges: readonly BridgeRules[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  let chain = "";
  for (const line of [
    ...renderDnatChains(),
    ...renderMasquerade(bridges),
    ...renderForward(bridges),
  ]) {
    chain = /^ {2}chain (\w+)/.exec(line)?.[1] ?? chain;
    const isRule = /^ {4}(?!type )/.test(line);
    counts.set(chain, (counts.get(chain) ?? 0) + (isRule ? 1 : 0));
  }
  return counts;
}
