/** The option `com.docker.network.bridge.trusted_host_interfaces`: names with colons between them. */
import { internal } from "@gantry/errors";

const longestName = 15;

/** The interfaces that it names; a `+` at the end of one stands for any rest. */
export function trustedInterfaces(text: string): string[] {
  return text.split(":").filter((name) => name !== "");
}

/** As nftables has them, where `*` stands for any rest; without those that cannot be, which no rule can say. */
export function interfacePatterns(names: readonly string[]): string[] {
  return names
    .filter((name) => refusalOf(name) === undefined)
    .map((name) => (name.endsWith("+") ? `${name.slice(0, -1)}*` : name.replace(/\*$/, "\\*")));
}

/** Told by the first endpoint, as of a dockerd. Errors: internal. */
export function checkTrustedInterfaces(names: readonly string[]): void {
  const refusal = names.map(refusalOf).find((why) => why !== undefined);
  if (refusal === undefined) return;
  throw internal(`Unable to enable DIRECT ACCESS FILTERING - ACCEPT rule: ${refusal}`);
}

function refusalOf(name: string): string | undefined {
  if (Buffer.byteLength(name) > longestName) {
    return `interface name \`${name}' must be shorter than IFNAMSIZ (${longestName})`;
  }
  if (/[\s/"\p{Cc}]/u.test(name)) {
    return `weird character in interface \`${name}' ('/' and ' ' are not allowed by the kernel)`;
  }
  return undefined;
}
