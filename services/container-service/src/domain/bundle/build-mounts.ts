/** `mounts` of the bundle: what every container has, unless the user mounts something there. */
import type { RuntimeMount } from "@gantry/oci";
import { parseSecurityOptions } from "../security-options.ts";
import type { BundleInput } from "./bundle-input.ts";

const defaultShmSizeBytes = 67_108_864;
const safe = ["nosuid", "noexec", "nodev"];

export function buildMounts(input: BundleInput): RuntimeMount[] {
  const taken = new Set(input.mounts.map((mount) => mount.destination));
  const hidesDev = taken.has("/dev");
  const kept = baseMounts(input).filter(
    ({ destination }) => !taken.has(destination) && !(hidesDev && destination.startsWith("/dev/")),
  );
  return [...kept, ...input.mounts];
}

function baseMounts(input: BundleInput): RuntimeMount[] {
  const { hostConfig } = input.record;
  const shmSizeBytes = Number(hostConfig.shmSizeBytes) || defaultShmSizeBytes;
  const mounts = input.defaults.mounts(shmSizeBytes).flatMap((mount) => ipcMount(input, mount));
  const { writableCgroups } = parseSecurityOptions(hostConfig.securityOpt?.values ?? []);
  return mounts.map((mount) => {
    const open = mount.type === "cgroup" ? writableCgroups : undefined;
    return (open ?? hostConfig.privileged) ? writable(mount) : mount;
  });
}

/** /dev/shm and /dev/mqueue follow the IPC namespace. */
function ipcMount(input: BundleInput, mount: RuntimeMount): RuntimeMount[] {
  const { destination } = mount;
  if (destination !== "/dev/shm" && destination !== "/dev/mqueue") return [mount];
  if (destination === "/dev/shm") {
    if (input.record.hostConfig.ipcMode === "none") return [];
    if (input.shmPath !== "") return [bind(destination, input.shmPath)];
  }
  if (input.ipc !== "host") return [mount];
  const isThere = destination === "/dev/shm" || input.host.messageQueues;
  return isThere ? [bind(destination, destination)] : [];
}

function bind(destination: string, source: string): RuntimeMount {
  return { destination, type: "bind", source, options: ["rbind", "rprivate", ...safe] };
}

/** A privileged container may write to /sys and the cgroups. */
function writable(mount: RuntimeMount): RuntimeMount {
  if (mount.type !== "sysfs" && mount.type !== "cgroup") return mount;
  return { ...mount, options: (mount.options ?? []).filter((option) => option !== "ro") };
}
