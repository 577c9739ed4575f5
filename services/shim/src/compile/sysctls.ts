/** Sysctls: only those that a namespace of the container keeps from the host. */
import { invalidArgument } from "@gantry/errors";
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

const hostWords: Readonly<Partial<Record<RuntimeNamespace["type"], string>>> = {
  ipc: "IPC",
  network: "network",
  uts: "UTS",
};

/** Throws invalid_argument for a key that would change the host. */
export function compileSysctls(
  sysctls: Readonly<Record<string, string>> = {},
  namespaces: readonly RuntimeNamespace[] = [],
): Record<string, string> {
  for (const key of Object.keys(sysctls)) {
    const type = namespaceOf(dotted(key));
    if (type === undefined) {
      throw invalidArgument(`sysctl "${key}" is not in a separate kernel namespace`);
    }
    if (!hasNamespace(namespaces, type)) {
      throw invalidArgument(
        `sysctl "${key}" not allowed in host ${hostWords[type] ?? type} namespace`,
      );
    }
  }
  return { ...sysctls };
}
