import net from "node:net";

/** Checks of single values. Each answers true when the text is well-formed. */

/** `10.0.0.0/8` or `fd00::/64`. */
export function isCidr(text: string): boolean {
  const [address = "", prefix = "", ...rest] = text.split("/");
  const version = net.isIP(address);
  if (version === 0 || rest.length > 0 || !/^\d{1,3}$/.test(prefix)) return false;
  return Number(prefix) <= (version === 4 ? 32 : 128);
}

/** `http://host[:port][/path]`, as registry-mirrors wants it. */
export function isMirrorUrl(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !["http:", "https:"].includes(url.protocol)) return false;
  return url.search === "" && url.hash === "" && url.username === "";
}

/** `host`, `host:port`, or a CIDR, as insecure-registries wants it. */
export function isRegistryHost(text: string): boolean {
  if (isCidr(text)) return true;
  return /^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?)(:\d{1,5})?$/.test(text);
}

/** `unix:///path`, `tcp://address:port` or `fd://`. */
export function isListenAddress(text: string): boolean {
  return /^unix:\/\/\/.+$/.test(text) || /^tcp:\/\/[^/]*:\d{1,5}$/.test(text) || text === "fd://";
}

const unitBytes: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  k: 1024,
  m: 1024 ** 2,
  g: 1024 ** 3,
  t: 1024 ** 4,
};

/** Docker's sizes, `64M` or `64mb` or a bare number of bytes; undefined when malformed. */
export function parseSizeBytes(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?) ?([kmgt]?)(?:i?b)?$/.exec(text.trim().toLowerCase());
  const unit = unitBytes[match?.[2] ?? ""];
  const number = Number(match?.[1] ?? Number.NaN);
  return Number.isFinite(number) && unit !== undefined ? Math.floor(number * unit) : undefined;
}
