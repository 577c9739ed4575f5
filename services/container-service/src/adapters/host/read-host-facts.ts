/** Reads what the machine can do and has, once at start. */
import { existsSync, readFileSync } from "node:fs";
import os from "node:os";
import { hostPlatform, processorFlags, shownHostPlatform } from "@gantry/oci";
import type { HostFacts, KernelFeatures } from "../../domain/host-facts.ts";
import { hasAppArmor } from "./apparmor.ts";

export function readHostFacts(): HostFacts {
  const release = parseOsRelease(read("/etc/os-release") ?? read("/usr/lib/os-release") ?? "");
  const cgroups = readCgroups();
  return {
    cgroupVersion: cgroups.version,
    cpus: os.availableParallelism(),
    memoryBytes: os.totalmem(),
    cpusetCpus: read("/sys/devices/system/cpu/online") ?? "",
    cpusetMems: read("/sys/devices/system/node/online") ?? "0",
    kernelVersion: os.release(),
    hostname: os.hostname(),
    operatingSystem: release["PRETTY_NAME"] ?? "Linux",
    osVersion: release["VERSION_ID"] ?? "",
    machine: os.machine(),
    platform: shownHostPlatform(
      hostPlatform().architecture,
      processorFlags(read("/proc/cpuinfo") ?? ""),
    ),
    bootId: read("/proc/sys/kernel/random/boot_id") ?? "",
    features: cgroups.features,
    apparmor: hasAppArmor(),
    seccomp: existsSync("/proc/sys/kernel/seccomp"),
    messageQueues: existsSync("/dev/mqueue"),
  };
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8").trim();
  } catch {
    // What the kernel does not have has no file.
    return undefined;
  }
}

function parseOsRelease(text: string): Record<string, string> {
  return Object.fromEntries(
    text.split("\n").flatMap((line) => {
      const at = line.indexOf("=");
      return at === -1 ? [] : [[line.slice(0, at), line.slice(at + 1).replace(/^"(.*)"$/, "$1")]];
    }),
  );
}

interface Cgroups {
  readonly version: "1" | "2";
  readonly features: KernelFeatures;
}

/** Mount points by controller on v1; the unified mount's controllers on v2. */
function readCgroups(): Cgroups {
  const mounts = (read("/proc/self/mountinfo") ?? "").split("\n").map(parseMount);
  const unified = mounts.find((mount) => mount?.type === "cgroup2")?.point;
  const v1 = mounts.filter((mount) => mount?.type === "cgroup");
  const folder = (controller: string): string | undefined =>
    v1.find((mount) => mount?.options.includes(controller) === true)?.point;
  if (v1.length === 0 && unified !== undefined)
    return { version: "2", features: featuresV2(unified) };
  return { version: "1", features: featuresV1(folder) };
}

interface Mount {
  readonly type: string;
  readonly point: string;
  readonly options: readonly string[];
}

function parseMount(line: string): Mount | undefined {
  const [left, right] = line.split(" - ", 2);
  const [type, , options] = right?.split(" ") ?? [];
  const point = left?.split(" ")[4];
  if (type === undefined || point === undefined) return undefined;
  return { type, point, options: (options ?? "").split(",") };
}

function forwarding(): boolean {
  return read("/proc/sys/net/ipv4/ip_forward") === "1";
}

function featuresV1(folder: (controller: string) => string | undefined): KernelFeatures {
  const has = (controller: string, file: string): boolean => {
    const found = folder(controller);
    return found !== undefined && existsSync(`${found}/${file}`);
  };
  return {
    memoryLimit: has("memory", "memory.limit_in_bytes"),
    swapLimit: has("memory", "memory.memsw.limit_in_bytes"),
    memorySwappiness: has("memory", "memory.swappiness"),
    oomKillDisable: has("memory", "memory.oom_control"),
    kernelMemoryTcp: has("memory", "memory.kmem.tcp.limit_in_bytes"),
    cpuCfsPeriod: has("cpu", "cpu.cfs_period_us"),
    cpuCfsQuota: has("cpu", "cpu.cfs_quota_us"),
    cpuShares: has("cpu", "cpu.shares"),
    cpuSet: has("cpuset", "cpuset.cpus"),
    cpuRealtime: has("cpu", "cpu.rt_period_us"),
    pidsLimit: folder("pids") !== undefined,
    blkioWeight: has("blkio", "blkio.weight") || has("blkio", "blkio.bfq.weight"),
    blkioThrottle: has("blkio", "blkio.throttle.read_bps_device"),
    get ipv4Forwarding() {
      return forwarding();
    },
  };
}

function featuresV2(root: string): KernelFeatures {
  const controllers = new Set((read(`${root}/cgroup.controllers`) ?? "").split(" "));
  const memory = controllers.has("memory");
  return {
    memoryLimit: memory,
    swapLimit: memory && existsSync("/proc/swaps"),
    memorySwappiness: false,
    oomKillDisable: false,
    kernelMemoryTcp: false,
    cpuCfsPeriod: controllers.has("cpu"),
    cpuCfsQuota: controllers.has("cpu"),
    cpuShares: controllers.has("cpu"),
    cpuSet: controllers.has("cpuset"),
    cpuRealtime: false,
    pidsLimit: controllers.has("pids"),
    blkioWeight: controllers.has("io"),
    blkioThrottle: controllers.has("io"),
    get ipv4Forwarding() {
      return forwarding();
    },
  };
}
