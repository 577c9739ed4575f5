/** Sysctls: only those that a namespace of the container keeps from the host. */
import { type EngineError, internal } from "@gantry/errors";
import type { RuntimeNamespace } from "@gantry/oci/runtime-spec";
import { hasNamespace } from "./namespaces.ts";

const ipcKeys = new Set([
  "kernel.msgmax",
  "kernel.msgmnb",
  "kernel.msgmni",
  "kernel.sem",
  "kernel.shmall",
  "kernel.shmmax",
  "kernel.shmmni",
  "kernel.shm_rmid_forced",
]);

/** Dots and slashes may be used the one or the other way round; which is which the first one says. */
function dotted(key: string): string {
  const separator = /[./]/.exec(key)?.[0];
  if (separator !== "/") return key;
  return key.replaceAll(/[./]/g, (letter) => (letter === "/" ? "." : "/"));
}

/** The namespace that keeps a key from the host, or undefined when none does. */
function namespaceOf(key: string): RuntimeNamespace["type"] | undefined {
  if (ipcKeys.has(key) || key.startsWith("fs.mqueue.")) return "ipc";
  if (key.startsWith("net.")) return "network";
  if (key === "kernel.domainname" || key === "kernel.hostname") return "uts";
  return undefined;
}

/** A runtime's words, in an engine's. */
function refused(key: string, why: string): EngineError {
  return internal(
    `failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: sysctl "${key}" ${why}`,
  );
}

/** Throws internal for a key that would change the host, as a failed start of a dockerd. */
export function compileSysctls(
  sysctls: Readonly<Record<string, string>> = {},
  namespaces: readonly RuntimeNamespace[] = [],
): Record<string, string> {
  for (const key of Object.keys(sysctls)) {
    const name = dotted(key);
    const type = namespaceOf(name);
    const isOwn = type !== undefined && hasNamespace(namespaces, type);
    if (isOwn && name === "kernel.hostname") {
      throw refused(name, `is not allowed as it conflicts with the OCI "hostname" field`);
    }
    if (isOwn) continue;
    if (type === "ipc") throw refused(name, "is not allowed in the hosts ipc namespace");
    if (type === "network") throw refused(name, "not allowed in host network namespace");
    throw refused(name, "is not in a separate kernel namespace");
  }
  return { ...sysctls };
}
