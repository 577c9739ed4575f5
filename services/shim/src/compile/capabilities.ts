/** Capabilities by name and as the bit masks that the kernel takes. */

import { invalidArgument } from "@gantry/errors";
import { capabilityNames } from "@gantry/oci/capabilities";
import type { RuntimeProcess } from "@gantry/oci/runtime-spec";
import type { CapabilitySets } from "./plan-types.ts";

/** The fourteen that Docker gives a container that asks for nothing. */
export const defaultCapabilities: readonly string[] = [
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_FSETID",
  "CAP_FOWNER",
  "CAP_MKNOD",
  "CAP_NET_RAW",
  "CAP_SETGID",
  "CAP_SETUID",
  "CAP_SETFCAP",
  "CAP_SETPCAP",
  "CAP_NET_BIND_SERVICE",
  "CAP_SYS_CHROOT",
  "CAP_KILL",
  "CAP_AUDIT_WRITE",
];

const numbers = new Map<string, bigint>(
  capabilityNames.map((name, number) => [name, BigInt(number)]),
);

/** Bit mask of some capabilities. Throws invalid_argument for a name that does not exist. */
export function capabilityMask(names: readonly string[]): bigint {
  return names.reduce((mask, name) => {
    const number = numbers.get(name.toUpperCase());
    if (number === undefined) throw invalidArgument(`unknown capability ${name}`);
    return mask | (1n << number);
  }, 0n);
}

/**
 * The five sets. What we do not have ourselves (`bound`) cannot be given and is left out, as runc
 * does: an engine inside a container runs `--privileged` with less.
 */
export function compileCapabilities(
  capabilities: RuntimeProcess["capabilities"],
  bound: bigint,
): CapabilitySets {
  const mask = (names: readonly string[] | undefined): bigint =>
    capabilityMask(names ?? []) & bound;
  const permitted = mask(capabilities?.permitted);
  const inheritable = mask(capabilities?.inheritable);
  return {
    bounding: mask(capabilities?.bounding),
    effective: mask(capabilities?.effective) & permitted,
    permitted,
    inheritable,
    // The kernel raises an ambient capability only where it is permitted and inheritable.
    ambient: mask(capabilities?.ambient) & permitted & inheritable,
  };
}
