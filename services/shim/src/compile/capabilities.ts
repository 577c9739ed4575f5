/** Capabilities by name and as the bit masks that the kernel takes. */

import { invalidArgument } from "@gantry/errors";
import type { RuntimeProcess } from "@gantry/oci/runtime-spec";
import type { CapabilitySets } from "./plan-types.ts";

/** Every capability, at the place of its number (linux/capability.h). */
export const capabilityNames = [
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_DAC_READ_SEARCH",
  "CAP_FOWNER",
  "CAP_FSETID",
  "CAP_KILL",
  "CAP_SETGID",
  "CAP_SETUID",
  "CAP_SETPCAP",
  "CAP_LINUX_IMMUTABLE",
  "CAP_NET_BIND_SERVICE",
  "CAP_NET_BROADCAST",
  "CAP_NET_ADMIN",
  "CAP_NET_RAW",
  "CAP_IPC_LOCK",
  "CAP_IPC_OWNER",
  "CAP_SYS_MODULE",
  "CAP_SYS_RAWIO",
  "CAP_SYS_CHROOT",
  "CAP_SYS_PTRACE",
  "CAP_SYS_PACCT",
  "CAP_SYS_ADMIN",
  "CAP_SYS_BOOT",
  "CAP_SYS_NICE",
  "CAP_SYS_RESOURCE",
  "CAP_SYS_TIME",
  "CAP_SYS_TTY_CONFIG",
  "CAP_MKNOD",
  "CAP_LEASE",
  "CAP_AUDIT_WRITE",
  "CAP_AUDIT_CONTROL",
  "CAP_SETFCAP",
  "CAP_MAC_OVERRIDE",
  "CAP_MAC_ADMIN",
  "CAP_SYSLOG",
  "CAP_WAKE_ALARM",
  "CAP_BLOCK_SUSPEND",
  "CAP_AUDIT_READ",
  "CAP_PERFMON",
  "CAP_BPF",
  "CAP_CHECKPOINT_RESTORE",
] as const;

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

/** Names of a bit mask's capabilities; bits without a name are passed over. */
export function capabilitiesOf(mask: bigint): string[] {
  return capabilityNames.filter((_, number) => ((mask >> BigInt(number)) & 1n) === 1n);
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
