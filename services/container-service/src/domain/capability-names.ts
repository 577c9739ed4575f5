/** Capabilities as users write them: with or without `CAP_`, in any case, or `ALL`. */
import { capabilityNames } from "@gantry/oci/capabilities";

const known = new Set<string>(capabilityNames);

/** `net_admin` → `CAP_NET_ADMIN`; `all` → `ALL`. */
export function capabilityName(given: string): string {
  const upper = given.trim().toUpperCase();
  return upper === "ALL" || upper.startsWith("CAP_") ? upper : `CAP_${upper}`;
}

/** Whether the kernel's list has it, or it is `ALL`. */
export function knownCapability(given: string): boolean {
  const name = capabilityName(given);
  return name === "ALL" || known.has(name);
}

/**
 * The capabilities of a container: the defaults with some dropped and some added. Dropping ALL leaves
 * only what is added; adding ALL gives everything but what is dropped.
 */
export function chooseCapabilities(
  defaults: readonly string[],
  add: readonly string[],
  drop: readonly string[],
): string[] {
  const added = new Set(add.map(capabilityName));
  const dropped = new Set(drop.map(capabilityName));
  const base = added.has("ALL") ? capabilityNames : dropped.has("ALL") ? [] : defaults;
  const kept = base.filter((name) => !dropped.has(name));
  const extra = [...added].filter((name) => name !== "ALL" && !kept.includes(name));
  return [...kept, ...extra];
}
