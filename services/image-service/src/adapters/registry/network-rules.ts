/** Which hosts may be spoken to how. */
import { BlockList, isIP } from "node:net";

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

const linkLocal = new BlockList();
linkLocal.addSubnet("169.254.0.0", 16, "ipv4");
linkLocal.addSubnet("fe80::", 10, "ipv6");

const unspecified = new BlockList();
unspecified.addSubnet("0.0.0.0", 8, "ipv4");
unspecified.addAddress("::", "ipv6");

function bare(host: string): string {
  return host.replace(/^\[|\]$/g, "").toLowerCase();
}

function isIn(list: BlockList, host: string): boolean {
  const name = bare(host);
  const family = isIP(name);
  return family !== 0 && list.check(name, family === 6 ? "ipv6" : "ipv4");
}

/** Whether a host name or address is this machine, without asking anybody. */
export function isLoopback(host: string): boolean {
  const name = bare(host);
  return name === "localhost" || name.endsWith(".localhost") || isIn(loopback, host);
}

/** Addresses that no registry may send us to: cloud metadata services live there. */
export function isForbiddenTarget(host: string): boolean {
  return isIn(linkLocal, host) || isIn(unspecified, host);
}

/** Hosts (with optional port) and CIDRs that need no verified TLS. */
export class InsecureHosts {
  readonly #hosts: ReadonlySet<string>;
  readonly #ranges = new BlockList();

  constructor(entries: readonly string[]) {
    const hosts = new Set<string>();
    for (const entry of entries) {
      const [address = "", prefix] = entry.split("/");
      const family = isIP(bare(address));
      if (prefix !== undefined && family !== 0) {
        this.#ranges.addSubnet(bare(address), Number(prefix), family === 6 ? "ipv6" : "ipv4");
      } else hosts.add(entry.toLowerCase());
    }
    this.#hosts = hosts;
  }

  /** @param domain host with optional port */
  has(domain: string): boolean {
    const host = hostOf(domain);
    return (
      isLoopback(host) ||
      this.#hosts.has(domain.toLowerCase()) ||
      this.#hosts.has(host) ||
      isIn(this.#ranges, host)
    );
  }

  /** Of what a name resolves to, the addresses that need no verified TLS. */
  among<Found extends { readonly address: string }>(addresses: readonly Found[]): Found[] {
    return addresses.filter(
      ({ address }) => isIn(loopback, address) || isIn(this.#ranges, address),
    );
  }
}

/** The host of a domain with optional port. */
export function hostOf(domain: string): string {
  return domain.replace(/:\d+$/, "").toLowerCase();
}

/** Whether two hosts belong together: the same, or siblings under a domain of their own. */
export function isSameSite(one: string, other: string): boolean {
  const [a, b] = [bare(one), bare(other)];
  if (a === b) return true;
  if (isIP(a) !== 0 || isIP(b) !== 0) return false;
  const site = (name: string): string => name.split(".").slice(-2).join(".");
  // Two labels are a site of one owner nearly always; the worst case is a public suffix of two.
  return a.includes(".") && b.includes(".") && site(a) === site(b) && !publicSuffix.test(site(a));
}

const publicSuffix = /^(?:co|com|net|org|gov|ac|edu)\.[a-z]{2}$/;
