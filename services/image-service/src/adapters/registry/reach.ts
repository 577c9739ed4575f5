/**
 * Where a registry may send us by a redirect or a challenge, judged by the addresses that names resolve to:
 * never farther inside than the registry itself is. A registry of the internet leads to the internet, one of
 * a private network there too, and only one on this machine to this machine; link-local addresses (metadata
 * services) are for nobody.
 */
import { type LookupAddress, type LookupOptions, lookup } from "node:dns";
import { BlockList, isIP, type LookupFunction } from "node:net";
import { permissionDenied } from "@gantry/errors";
import { isForbiddenTarget, isLoopback } from "./network-rules.ts";

/** How far inside an address lies; more is farther. */
type Depth = 0 | 1 | 2 | 3;
const internet = 0;
const privateNetwork = 1;
const thisMachine = 2;
const nobody = 3;

const privateRanges = new BlockList();
privateRanges.addSubnet("10.0.0.0", 8, "ipv4");
privateRanges.addSubnet("172.16.0.0", 12, "ipv4");
privateRanges.addSubnet("192.168.0.0", 16, "ipv4");
privateRanges.addSubnet("100.64.0.0", 10, "ipv4");
privateRanges.addSubnet("fc00::", 7, "ipv6");

/** Resolves a name to all of its addresses. Rejects like dns.lookup. */
export type ResolveAll = (hostname: string) => Promise<readonly LookupAddress[]>;

export const resolveBySystem: ResolveAll = (hostname) =>
  new Promise((resolve, reject) => {
    lookup(hostname, { all: true }, (error, addresses) => {
      if (error === null) resolve(addresses);
      else reject(error);
    });
  });

/** Judges addresses for one registry. */
export interface Reach {
  /** For net.connect: resolves names, and refuses the host's when one of its addresses is too far inside. */
  readonly lookup: LookupFunction;
  /** The same for a host that is an address already, which is never looked up. Throws permission_denied. */
  checkLiteral(): Promise<void>;
}

/**
 * @param host where we are sent
 * @param by host of who sends us
 */
export function createReach(host: string, by: string, resolveAll = resolveBySystem): Reach {
  const name = bare(host);
  const limit = depthOfHost(bare(by), resolveAll);
  const check = async (addresses: readonly { readonly address: string }[]): Promise<void> => {
    const allowed = await limit;
    if (addresses.some(({ address }) => depthOf(address) > allowed)) {
      throw permissionDenied(`refusing to be sent to ${host} by ${by}`);
    }
  };
  return {
    lookup: (hostname, options, callback) => {
      answer(hostname, options, callback, async () => {
        const addresses = await resolveAll(hostname);
        // The name of a proxy is the machine's own business.
        if (hostname === name) await check(addresses);
        return addresses;
      });
    },
    checkLiteral: async () => {
      if (isIP(name) !== 0) await check([{ address: name }]);
    },
  };
}

/** For net.connect: the one host has these addresses and no others. The name of a proxy is looked up. */
export function createFixedLookup(
  host: string,
  addresses: readonly LookupAddress[],
  resolveAll = resolveBySystem,
): LookupFunction {
  const name = bare(host);
  return (hostname, options, callback) => {
    answer(hostname, options, callback, async () =>
      hostname === name ? addresses : await resolveAll(hostname),
    );
  };
}

function answer(
  hostname: string,
  { all, family }: LookupOptions,
  callback: Parameters<LookupFunction>[2],
  find: () => Promise<readonly LookupAddress[]>,
): void {
  find().then(
    (found) => {
      const wanted =
        family === 4 || family === 6 ? found.filter((a) => a.family === family) : found;
      const [first] = wanted;
      if (first === undefined) {
        const missing = new Error(`no address of ${hostname}`);
        callback(Object.assign(missing, { code: "ENOTFOUND" }), "");
      } else if (all === true) callback(null, [...wanted]);
      else callback(null, first.address, first.family);
    },
    (error: unknown) => {
      callback(error instanceof Error ? error : new Error(String(error)), "");
    },
  );
}

/** Of a registry: what lies nearest counts. One that only a proxy can resolve is of the internet. */
async function depthOfHost(host: string, resolveAll: ResolveAll): Promise<Depth> {
  if (isIP(host) !== 0) return atMostMachine(depthOf(host));
  if (isLoopback(host)) return thisMachine;
  const addresses = await resolveAll(host).catch(() => []);
  return addresses.reduce<Depth>((most, { address }) => {
    const depth = atMostMachine(depthOf(address));
    return depth > most ? depth : most;
  }, internet);
}

/** A registry at a link-local address may be asked for, but leads nowhere of that kind. */
function atMostMachine(depth: Depth): Depth {
  return depth === nobody ? privateNetwork : depth;
}

function depthOf(address: string): Depth {
  const plain = address.replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, "");
  if (isForbiddenTarget(plain)) return nobody;
  if (isLoopback(plain)) return thisMachine;
  const family = isIP(plain) === 6 ? "ipv6" : "ipv4";
  return privateRanges.check(plain, family) ? privateNetwork : internet;
}

function bare(host: string): string {
  return host.replace(/^\[|\]$/g, "").toLowerCase();
}
