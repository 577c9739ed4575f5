/** Launch plans for tests: a plain container, and the kernel's numbers that plans hold. */
import type { DescMessage, MessageInitShape } from "@bufbuild/protobuf";
import type {
  CgroupPlanSchema,
  HookPlanSchema,
  LaunchPlan,
  LaunchPlanSchema,
  MountPlanSchema,
  ProcessPlanSchema,
  ShimRequestSchema,
} from "@gantry/proto/shim";

/** A message as plain fields. */
type Fields<Desc extends DescMessage> = Exclude<MessageInitShape<Desc>, { $typeName: string }>;
export type PlanInit = Fields<typeof LaunchPlanSchema> & Pick<LaunchPlan, "$unknown">;
export type ProcessInit = Fields<typeof ProcessPlanSchema>;
export type CgroupInit = Fields<typeof CgroupPlanSchema>;
export type HookInit = Fields<typeof HookPlanSchema>;
export type MountInit = Fields<typeof MountPlanSchema>;
export type RequestInit = Exclude<
  Fields<typeof ShimRequestSchema>["request"],
  undefined | { case: undefined }
>;

export const ns = {
  mount: 0x20000n,
  cgroup: 0x2000000n,
  uts: 0x4000000n,
  ipc: 0x8000000n,
  user: 0x10000000n,
  pid: 0x20000000n,
  net: 0x40000000n,
};

export const ms = {
  rdonly: 1n,
  nosuid: 2n,
  nodev: 4n,
  noexec: 8n,
  bind: 4096n,
  rec: 16384n,
  relatime: 0x200000n,
  private: 1n << 18n,
  strictatime: 1n << 24n,
};

/** Docker's default capabilities. */
const defaultCapabilities = 0xa80425fbn;

/** A process plan for a command line. */
export function processOf(args: string[], changes: ProcessInit = {}): ProcessInit {
  const mask = defaultCapabilities;
  return {
    args,
    env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
    cwd: "/",
    capabilities: { bounding: mask, effective: mask, permitted: mask },
    ...changes,
  };
}

export const standardMounts: MountInit[] = [
  { destination: "/proc", type: "proc", source: "proc", flags: ms.nosuid | ms.noexec | ms.nodev },
  {
    destination: "/dev",
    type: "tmpfs",
    source: "tmpfs",
    flags: ms.nosuid | ms.strictatime,
    data: "mode=755,size=65536k",
  },
  {
    destination: "/dev/pts",
    type: "devpts",
    source: "devpts",
    flags: ms.nosuid | ms.noexec,
    data: "newinstance,ptmxmode=0666,mode=0620,gid=5",
  },
  {
    destination: "/sys",
    type: "sysfs",
    source: "sysfs",
    flags: ms.nosuid | ms.noexec | ms.nodev | ms.rdonly,
  },
  {
    destination: "/dev/mqueue",
    type: "mqueue",
    source: "mqueue",
    flags: ms.nosuid | ms.noexec | ms.nodev,
  },
  {
    destination: "/dev/shm",
    type: "tmpfs",
    source: "shm",
    flags: ms.nosuid | ms.noexec | ms.nodev,
    data: "mode=1777,size=67108864",
  },
];

/** A container with all namespaces but the user's. @param path a file of the test by its name */
export function standardPlan(path: (name: string) => string): PlanInit {
  return {
    protocolVersion: 1,
    id: "c".repeat(64),
    nonce: new Uint8Array([1, 2, 3]),
    exitRecordPath: path("exit.json"),
    namespaces: [ns.mount, ns.pid, ns.uts, ns.ipc, ns.net].map((cloneFlag) => ({ cloneFlag })),
    rootfs: {
      mountpoint: path("root"),
      lowerDirs: [path("lower")],
      upperDir: path("upper"),
      workDir: path("work"),
    },
    mounts: standardMounts,
    maskedPaths: ["/proc/kcore", "/proc/keys", "/proc/acpi", "/sys/firmware"],
    readonlyPaths: ["/proc/sys", "/proc/bus"],
    hostname: "box",
    process: processOf(["true"]),
    log: { driver: "json-file", path: path("json.log") },
  };
}
