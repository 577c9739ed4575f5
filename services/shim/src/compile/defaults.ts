/** What Docker puts into the bundle of a container that asks for nothing special. */
import type { RuntimeMount } from "@gantry/oci/runtime-spec";

/** Hidden from containers that are not privileged, in the order that inspect shows. Missing ones do no harm. */
export const defaultMaskedPaths: readonly string[] = [
  "/proc/asound",
  "/proc/acpi",
  "/proc/interrupts",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/sys/firmware",
  "/sys/devices/virtual/powercap",
];

/** Read-only in containers that are not privileged. */
export const defaultReadonlyPaths: readonly string[] = [
  "/proc/bus",
  "/proc/fs",
  "/proc/irq",
  "/proc/sys",
  "/proc/sysrq-trigger",
];

/** Size of /dev/shm where none is given, bytes. */
export const defaultShmSizeBytes = 67_108_864;

/**
 * The mounts of a container that is not privileged, in order. A privileged one has /sys and the
 * cgroups writable; a shared IPC namespace brings its own /dev/shm and /dev/mqueue.
 */
export function defaultMounts(shmSizeBytes: number = defaultShmSizeBytes): RuntimeMount[] {
  const safe = ["nosuid", "noexec", "nodev"];
  return [
    { destination: "/proc", type: "proc", source: "proc", options: safe },
    {
      destination: "/dev",
      type: "tmpfs",
      source: "tmpfs",
      options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
    },
    {
      destination: "/dev/pts",
      type: "devpts",
      source: "devpts",
      options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    },
    { destination: "/sys", type: "sysfs", source: "sysfs", options: [...safe, "ro"] },
    { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["ro", ...safe] },
    { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: safe },
    {
      destination: "/dev/shm",
      type: "tmpfs",
      source: "shm",
      options: [...safe, "mode=1777", `size=${String(shmSizeBytes)}`],
    },
  ];
}

/** Device rules of a container that is not privileged: nothing but the default devices. */
export const defaultDeviceRules = [{ allow: false, access: "rwm" }] as const;

/** The runtime-spec version that bundles for us name. */
export const ociVersion = "1.2.0";
