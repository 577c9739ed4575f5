/** The texts of a container's hosts, hostname and resolv.conf, in Docker's form. */
import { isIP } from "node:net";

/** One line of a hosts file: an address and its names. */
export interface HostsEntry {
  readonly address: string;
  readonly names: readonly string[];
}

/** The hosts file of a container with its own network namespace. */
export function renderHosts(entries: readonly HostsEntry[], withIpv6: boolean): string {
  const fixed = ["127.0.0.1\tlocalhost", ...(withIpv6 ? ipv6Lines : [])];
  const lines = entries.map(({ address, names }) => `${address}\t${names.join(" ")}`);
  return `${[...fixed, ...lines].join("\n")}\n`;
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

/** Docker's servers for a host that has none a container could reach. */
const fallbackServers: Readonly<Record<4 | 6, readonly string[]>> = {
  4: ["8.8.8.8", "8.8.4.4"],
  6: ["2001:4860:4860::8888", "2001:4860:4860::8844"],
};

/** Reads a resolv.conf. Unknown lines are left out; the last `search` wins, as in resolver(5). */
export function parseResolvConf(text: string): ResolverSettings {
  const nameservers: string[] = [];
  let search: string[] = [];
  const options: string[] = [];
  for (const line of text.split("\n")) {
    const [word, ...rest] = line
      .replace(/[#;].*$/, "")
      .trim()
      .split(/\s+/);
    if (word === "nameserver") nameservers.push(...rest.slice(0, 1));
    else if (word === "search" || word === "domain") search = rest;
    else if (word === "options") options.push(...rest);
  }
  return { nameservers, search, options };
}

function isLoopback(address: string): boolean {
  return address.startsWith("127.") || address === "::1" || address === "0.0.0.0";
}

/**
 * The settings of a container that asks the host's servers itself: the host's without loopback servers
 * (and without IPv6 ones for a container without IPv6), overridden list by list.
 */
export function chooseResolver(
  host: ResolverSettings,
  wish: ResolverWish,
  hasIpv6: boolean,
): ResolverSettings {
  const reachable = host.nameservers.filter(
    (server) => !isLoopback(server) && (isIP(server) === 4 || hasIpv6),
  );
  const fallback = hasIpv6 ? [...fallbackServers[4], ...fallbackServers[6]] : fallbackServers[4];
  const found = reachable.length > 0 ? reachable : fallback;
  return {
    nameservers: wish.nameservers.length > 0 ? wish.nameservers : found,
    // Docker's way to ask for no search domain at all.
    search: wish.search.length > 0 ? wish.search.filter((domain) => domain !== ".") : host.search,
    options: wish.options.length > 0 ? wish.options : host.options,
  };
}

export function renderResolvConf(settings: ResolverSettings): string {
  const lines = settings.nameservers.map((server) => `nameserver ${server}`);
  if (settings.search.length > 0) lines.push(`search ${settings.search.join(" ")}`);
  if (settings.options.length > 0) lines.push(`options ${settings.options.join(" ")}`);
  return `${lines.join("\n")}\n`;
}
