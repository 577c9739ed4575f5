/** The texts of a container's hosts, hostname and resolv.conf, in Docker's form. */
import { createHash } from "node:crypto";
import { isIP } from "node:net";

/** One line of a hosts file: an address and its names. */
export interface HostsEntry {
  readonly address: string;
  readonly names: readonly string[];
}

/** The hosts file of a container; without IPv6 no address of it is there. */
export function renderHosts(entries: readonly HostsEntry[], withIpv6: boolean): string {
  const fixed = ["127.0.0.1\tlocalhost", ...(withIpv6 ? ipv6Lines : [])];
  return `${[...fixed, ...hostsLines(entries, withIpv6)].join("\n")}\n`;
}

/** The lines of a container's hosts file that follow its networks and links. */
export function hostsLines(entries: readonly HostsEntry[], withIpv6: boolean): string[] {
  const shown = withIpv6 ? entries : entries.filter(({ address }) => isIP(address) !== 6);
  return shown.map(({ address, names }) => `${address}\t${names.join(" ")}`);
}

/**
 * A hosts file in which those of our lines that have changed are other ones; what somebody in the container has
 * written stays. A line with the same names takes the place of the old one, as in dockerd; another one comes last.
 * @param before our lines as they were written
 */
export function editHosts(
  text: string,
  before: readonly string[],
  after: readonly string[],
): string {
  const lines = text.split("\n");
  const isWhole = lines.at(-1) === "";
  if (isWhole) lines.pop();
  const coming = after.filter((line) => !before.includes(line));
  for (const old of before.filter((line) => !after.includes(line))) {
    const at = lines.indexOf(old);
    if (at === -1) continue;
    const twin = coming.findIndex((line) => namesOf(line) === namesOf(old));
    lines.splice(at, 1, ...(twin === -1 ? [] : coming.splice(twin, 1)));
  }
  const missing = coming.filter((line) => !lines.includes(line));
  const edited = [...lines, ...missing];
  const ending = edited.length > 0 && (isWhole || missing.length > 0) ? "\n" : "";
  return `${edited.join("\n")}${ending}`;
}

function namesOf(line: string): string {
  return line.slice(line.indexOf("\t"));
}

const ipv6Lines: readonly string[] = [
  "::1\tlocalhost ip6-localhost ip6-loopback",
  "fe00::\tip6-localnet",
  "ff00::\tip6-mcastprefix",
  "ff02::1\tip6-allnodes",
  "ff02::2\tip6-allrouters",
];

/** Settings of name resolution. */
export interface ResolverSettings {
  readonly nameservers: readonly string[];
  readonly search: readonly string[];
  readonly options: readonly string[];
}

/** What the container and the daemon ask for; a list that is empty was not given. */
export type ResolverWish = ResolverSettings;

/** A resolv.conf as it was read. */
export interface HostSettings extends ResolverSettings {
  /** Servers that are no addresses. */
  readonly invalidServers: readonly string[];
  /** Lines that have another meaning, or none. */
  readonly otherLines: readonly string[];
}

/** The host's settings, and the file that they were read from. */
export interface HostResolver {
  readonly path: string;
  readonly settings: HostSettings;
}

/** A container's resolv.conf: the settings, and what Docker says of them in comments. */
export interface ResolvConf extends ResolverSettings {
  readonly path: string;
  readonly invalidServers: readonly string[];
  readonly otherLines: readonly string[];
  /** How the host's settings were changed: `legacy`, `internal resolver`, or empty. */
  readonly transform: string;
  readonly warnings: readonly string[];
  /** Servers behind the container's own one. */
  readonly upstreams: readonly UpstreamServer[];
  readonly overrides: readonly string[];
  /** `host`, `override`, `internal`, or empty when there is no such option. */
  readonly ndotsFrom: string;
}

/** A server behind the container's own one. */
export interface UpstreamServer {
  readonly address: string;
  /** It is asked from the host's network namespace. */
  readonly fromHost: boolean;
}

/** The address of every container's own name server. */
const ownServer = "127.0.0.11";

/** Docker's servers for a host that has none a container could reach. */
const fallbackServers: Readonly<Record<4 | 6, readonly string[]>> = {
  4: ["8.8.8.8", "8.8.4.4"],
  6: ["2001:4860:4860::8888", "2001:4860:4860::8844"],
};

/** Reads a resolv.conf. The last `search` wins, as in resolver(5). */
export function parseResolvConf(text: string): HostSettings {
  const nameservers: string[] = [];
  const invalidServers: string[] = [];
  let search: string[] = [];
  const options: string[] = [];
  const otherLines: string[] = [];
  for (const line of text.split("\n")) {
    const [word = "", ...rest] = line
      .replace(/[#;].*$/, "")
      .trim()
      .split(/\s+/);
    if (word === "nameserver") {
      for (const server of rest.slice(0, 1))
        (isIP(server) === 0 ? invalidServers : nameservers).push(server);
    } else if (word === "search" || word === "domain") search = rest;
    else if (word === "options") options.push(...rest);
    else if (word !== "") otherLines.push(line);
  }
  return { nameservers, search, options, invalidServers, otherLines };
}

function isLoopback(address: string): boolean {
  return address.startsWith("127.") || address === "::1";
}

/** The host's settings, overridden list by list. */
export function overrideResolver(host: HostResolver, wish: ResolverWish): ResolvConf {
  const { settings, path } = host;
  const options = wish.options.length > 0 ? wish.options : settings.options;
  const origin = wish.options.length > 0 ? "override" : "host";
  return {
    path,
    nameservers: wish.nameservers.length > 0 ? wish.nameservers : settings.nameservers,
    // Docker's way to ask for no search domain at all.
    search:
      wish.search.length > 0 ? wish.search.filter((domain) => domain !== ".") : settings.search,
    options,
    invalidServers: settings.invalidServers,
    otherLines: settings.otherLines,
    transform: "",
    warnings: [],
    upstreams: [],
    overrides: (["nameservers", "search", "options"] as const).filter(
      (list) => wish[list].length > 0,
    ),
    ndotsFrom: ndotsOf(options) === undefined ? "" : origin,
  };
}

/**
 * The settings of a container that asks the servers itself: without the host's loopback servers (and
 * without its IPv6 ones for a container without IPv6).
 */
export function directResolver(
  host: HostResolver,
  wish: ResolverWish,
  hasIpv6: boolean,
): ResolvConf {
  const plain = { ...overrideResolver(host, wish), transform: "legacy" };
  if (wish.nameservers.length > 0) return plain;
  const nameservers = plain.nameservers.filter(
    (server) => !isLoopback(server) && (isIP(server) === 4 || hasIpv6),
  );
  if (nameservers.length > 0) return { ...plain, nameservers };
  return {
    ...plain,
    nameservers: hasIpv6 ? [...fallbackServers[4], ...fallbackServers[6]] : fallbackServers[4],
    warnings: ["Used default nameservers."],
  };
}

/**
 * The settings of a container with a name server of its own. The host's servers are asked from the host's
 * network namespace, those that the user names from the container's.
 */
export function internalResolver(host: HostResolver, wish: ResolverWish): ResolvConf {
  const plain = overrideResolver(host, wish);
  const fromHost = wish.nameservers.length === 0;
  const upstreams = plain.nameservers
    .filter((address) => isIP(address) !== 0)
    .map((address) => ({ address, fromHost }));
  const valid = plain.options.filter((option) => !/^ndots(?::|$)/.test(option) || isNdots(option));
  const hasNdots = ndotsOf(valid) !== undefined;
  return {
    ...plain,
    nameservers: [ownServer],
    options: hasNdots ? valid : [...valid, "ndots:0"],
    transform: "internal resolver",
    warnings: upstreams.length > 0 ? [] : ["NO EXTERNAL NAMESERVERS DEFINED"],
    upstreams,
    ndotsFrom: hasNdots ? plain.ndotsFrom : "internal",
  };
}

/** The servers that the container's own one asks: never itself, although the comment names it. */
export function askedServers({ upstreams }: ResolvConf): UpstreamServer[] {
  return upstreams.filter(({ address, fromHost }) => fromHost || address !== ownServer);
}

function isNdots(option: string): boolean {
  return /^ndots:\+?\d+$/.test(option) && Number(option.slice("ndots:".length)) < 2 ** 63;
}

/** The last `ndots` option's number; undefined when there is none. */
export function ndotsOf(options: readonly string[]): number | undefined {
  const option = options.findLast((each) => each.startsWith("ndots:"));
  return option === undefined ? undefined : Number(option.slice("ndots:".length));
}

const header = [
  "# Generated by Docker Engine.",
  "# This file can be edited; Docker Engine will not make further changes once it",
  "# has been modified.",
  "",
];

export function renderResolvConf(conf: ResolvConf): string {
  const lines = [...header, ...conf.nameservers.map((server) => `nameserver ${server}`)];
  if (conf.search.length > 0) lines.push(`search ${conf.search.join(" ")}`);
  if (conf.options.length > 0) lines.push(`options ${conf.options.join(" ")}`);
  lines.push(...conf.otherLines);
  const transform = conf.transform === "" ? "" : ` (${conf.transform})`;
  lines.push("", `# Based on host file: '${conf.path}'${transform}`);
  lines.push(...conf.warnings.map((warning) => `# ${warning}`));
  if (conf.upstreams.length > 0) {
    const servers = conf.upstreams.map(({ address, fromHost }) =>
      fromHost ? `host(${address})` : address,
    );
    lines.push(`# ExtServers: [${servers.join(" ")}]`);
  }
  if (conf.invalidServers.length > 0) {
    lines.push(`# Invalid nameservers: [${conf.invalidServers.join(" ")}]`);
  }
  lines.push(`# Overrides: [${conf.overrides.join(" ")}]`);
  if (conf.ndotsFrom !== "") lines.push(`# Option ndots from: ${conf.ndotsFrom}`);
  return `${lines.join("\n")}\n`;
}

/** Tells a file that was changed in the container from the one that we wrote. */
export function textDigest(text: string | Uint8Array): string {
  return createHash("sha256").update(text).digest("hex");
}
