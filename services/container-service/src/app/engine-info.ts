/** What `docker info` shows of host and containers. */
import { isLive } from "../domain/container-state.ts";
import type { App } from "./context.ts";

/** Containers by state. */
export interface ContainerCounts {
  readonly all: number;
  readonly running: number;
  readonly paused: number;
  readonly stopped: number;
}

export function countContainers(app: App): ContainerCounts {
  const states = app.registry.list().map((entry) => entry.record.state);
  const live = states.filter(isLive);
  const paused = live.filter((state) => state.status === "paused").length;
  const running = live.length - paused;
  return { all: states.length, running, paused, stopped: states.length - live.length };
}

/** Docker's words for what this kernel has not. */
export function hostWarnings(app: App): string[] {
  const { features, cgroupVersion } = app.host;
  const missing = [
    [features.memoryLimit, "No memory limit support"],
    [features.swapLimit, "No swap limit support"],
    [features.oomKillDisable || cgroupVersion === "2", "No oom kill disable support"],
    [features.cpuCfsQuota, "No cpu cfs quota support"],
    [features.cpuCfsPeriod, "No cpu cfs period support"],
    [features.cpuShares, "No cpu shares support"],
    [features.cpuSet, "No cpuset support"],
    [features.ipv4Forwarding, "IPv4 forwarding is disabled"],
  ] as const;
  return missing.filter(([present]) => !present).map(([, text]) => `WARNING: ${text}`);
}

/** Limits that the kernel has, by Docker's field names. */
export function hostCapabilities(app: App): Record<string, boolean> {
  const { features } = app.host;
  return {
    MemoryLimit: features.memoryLimit,
    SwapLimit: features.swapLimit,
    KernelMemoryTCP: features.kernelMemoryTcp,
    CpuCfsPeriod: features.cpuCfsPeriod,
    CpuCfsQuota: features.cpuCfsQuota,
    CPUShares: features.cpuShares,
    CPUSet: features.cpuSet,
    PidsLimit: features.pidsLimit,
    IPv4Forwarding: features.ipv4Forwarding,
    OomKillDisable: features.oomKillDisable,
  };
}

/** Entries of SecurityOptions. */
export function securityOptions(app: App): string[] {
  const { host, runtimeDefaults } = app;
  return [
    ...(host.apparmor ? ["name=apparmor"] : []),
    ...(host.seccomp
      ? [`name=seccomp,profile=${runtimeDefaults.seccomp === "builtin" ? "builtin" : "custom"}`]
      : []),
    ...(host.cgroupVersion === "2" ? ["name=cgroupns"] : []),
    ...(runtimeDefaults.noNewPrivileges ? ["name=no-new-privileges"] : []),
  ];
}
