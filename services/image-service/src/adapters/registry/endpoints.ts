/** Where a registry's API may be reached, in the order in which it is tried. */
import type { LookupAddress } from "node:dns";
import { readdirSync, readFileSync } from "node:fs";
import { isIP } from "node:net";
import path from "node:path";
import tls from "node:tls";
import { hasErrno, internal } from "@gantry/errors";
import type { TlsChoice } from "./http-client.ts";
import { hostOf, InsecureHosts, isLoopback } from "./network-rules.ts";
import { resolveBySystem } from "./reach.ts";

/** One way to a registry. */
export interface Endpoint {
  /** `https://host:port` with an optional path, without a slash at the end. */
  readonly base: string;
  readonly tls: TlsChoice;
  /** A mirror gets no credentials, and its failures fall through to the registry itself. */
  readonly mirror: boolean;
  /** The next one is plain HTTP, to be tried when this one cannot be reached; its failure is the one that is told. */
  readonly plainFallback: boolean;
}

/** Configured registries. */
export interface RegistrySettings {
  readonly mirrors: readonly string[];
  readonly insecure: readonly string[];
  /** Folders of `<host:port>/*.crt`, in order. */
  readonly certificateDirs: readonly string[];
}

/** Finds endpoints. */
export interface Endpoints {
  /** @param mirrors whether mirrors will do, which is so for pulls only */
  of(domain: string, mirrors: boolean): Promise<readonly Endpoint[]>;
  /** The same for who trusts the registry whatever its certificate says. */
  insecure(domain: string): Promise<readonly Endpoint[]>;
  /** Remembers that a host speaks plain HTTP, so that TLS is not tried first each time. */
  isPlain(domain: string): void;
}

const hubHost = "registry-1.docker.io";

export function createEndpoints(
  settings: RegistrySettings,
  resolveAll = resolveBySystem,
): Endpoints {
  const insecure = new InsecureHosts(settings.insecure);
  const contexts = new Map<string, tls.SecureContext>();
  const plain = new Set<string>();

  const contextOf = (host: string): tls.SecureContext => {
    const known = contexts.get(host) ?? makeContext(settings.certificateDirs, host);
    contexts.set(host, known);
    return known;
  };

  /** A name is as insecure as an address that it stands for; who cannot be resolved here is not. */
  const insecureAddresses = async (domain: string): Promise<LookupAddress[]> => {
    const host = hostOf(domain);
    if (insecure.has(domain) || isIP(host.replace(/^\[|\]$/g, "")) !== 0) return [];
    return insecure.among(await resolveAll(host).catch(() => []));
  };

  const direct = (
    host: string,
    trusted = !insecure.has(host),
    addresses?: readonly LookupAddress[],
  ): Endpoint[] => {
    const secure: Endpoint = {
      base: `https://${host}`,
      tls: {
        context: trusted || !isLoopback(hostOf(host)) ? contextOf(host) : undefined,
        verify: trusted,
        addresses,
      },
      mirror: false,
      plainFallback: !trusted,
    };
    if (trusted) return [secure];
    const unencrypted: Endpoint = {
      base: `http://${host}`,
      tls: { context: undefined, verify: false, addresses },
      mirror: false,
      plainFallback: false,
    };
    return plain.has(host) ? [unencrypted] : [secure, unencrypted];
  };

  return {
    async of(domain, mirrors) {
      if (domain !== "docker.io") {
        const found = await insecureAddresses(domain);
        return found.length === 0 ? direct(domain) : direct(domain, false, found);
      }
      const hub = direct(hubHost);
      return mirrors ? [...settings.mirrors.map((each) => mirrorOf(each, contextOf)), ...hub] : hub;
    },
    insecure: (domain) => Promise.resolve(direct(domain === "docker.io" ? hubHost : domain, false)),
    isPlain: (domain) => void plain.add(domain),
  };
}

/** A path at an endpoint. The one thing of a reference's domain that no URL can have is its port. */
export function urlAt({ base }: Pick<Endpoint, "base">, target: string): URL {
  const text = `${base}${target}`;
  if (URL.canParse(text)) return new URL(text);
  const cause = new Error("invalid port");
  const port = /:(\d+)$/.exec(base)?.[1] ?? "";
  throw internal(`Get "${base}/v2/": dial tcp: address ${port}: invalid port`, { cause });
}

function mirrorOf(address: string, contextOf: (host: string) => tls.SecureContext): Endpoint {
  const url = new URL(address);
  const secure = url.protocol === "https:";
  return {
    base: `${url.protocol}//${url.host}${url.pathname.replace(/\/+$/, "")}`,
    tls: { context: secure ? contextOf(url.host) : undefined, verify: true },
    mirror: true,
    plainFallback: false,
  };
}

/** The machine's authorities and, as Docker lays them out, those of one host. */
function makeContext(dirs: readonly string[], host: string): tls.SecureContext {
  const own = dirs
    .map((dir) => readHostFolder(path.join(dir, host)))
    .find((each) => each !== undefined);
  const system = tls.getCACertificates("system");
  const ca = [...(system.length > 0 ? system : tls.rootCertificates), ...(own?.authorities ?? [])];
  return tls.createSecureContext({
    ca,
    ...(own?.certificate !== undefined && { cert: own.certificate, key: own.key }),
  });
}

interface HostFolder {
  readonly authorities: readonly string[];
  readonly certificate?: string;
  readonly key?: string;
}

function readHostFolder(folder: string): HostFolder | undefined {
  let names: string[];
  try {
    names = readdirSync(folder).sort();
  } catch (error) {
    if (hasErrno(error, "ENOENT") || hasErrno(error, "ENOTDIR")) return undefined;
    throw error;
  }
  const read = (name: string): string => readFileSync(path.join(folder, name), "utf8");
  const authorities = names.filter((name) => name.endsWith(".crt")).map(read);
  const client = names.find((name) => name.endsWith(".cert"));
  if (client === undefined) return { authorities };
  const key = `${client.slice(0, -".cert".length)}.key`;
  if (!names.includes(key)) {
    throw internal(
      `missing key ${key} for client certificate ${client}. CA certificates must use the extension .crt`,
    );
  }
  return { authorities, certificate: read(client), key: read(key) };
}
