/** Resources → the resource fields of Docker's HostConfig. */
import type { Resources, ThrottleDevice } from "@gantry/proto/container";
import type { JsonOut } from "./json.ts";

/** Encodes limits; absent ones as Docker's zero values. */
export function encodeResources(resources: Resources | undefined): Record<string, JsonOut> {
  return { ...cpu(resources), ...devices(resources), ...rest(resources) };
}

function cpu(r: Resources | undefined): Record<string, JsonOut> {
  return {
    CpuShares: r?.cpuShares ?? 0,
    Memory: r?.memoryBytes ?? 0,
    NanoCpus: r?.nanoCpus ?? 0,
    CgroupParent: r?.cgroupParent ?? "",
    BlkioWeight: r?.blkioWeight ?? 0,
    BlkioWeightDevice: (r?.blkioWeightDevice ?? []).map((each) => ({
      Path: each.path,
      Weight: each.weight,
    })),
    BlkioDeviceReadBps: throttles(r?.blkioDeviceReadBps),
    BlkioDeviceWriteBps: throttles(r?.blkioDeviceWriteBps),
    BlkioDeviceReadIOps: throttles(r?.blkioDeviceReadIops),
    BlkioDeviceWriteIOps: throttles(r?.blkioDeviceWriteIops),
    CpuPeriod: r?.cpuPeriodUs ?? 0,
    CpuQuota: r?.cpuQuotaUs ?? 0,
    CpuRealtimePeriod: r?.cpuRealtimePeriodUs ?? 0,
    CpuRealtimeRuntime: r?.cpuRealtimeRuntimeUs ?? 0,
    CpusetCpus: r?.cpusetCpus ?? "",
    CpusetMems: r?.cpusetMems ?? "",
  };
}

function devices(r: Resources | undefined): Record<string, JsonOut> {
  const requests = r?.deviceRequests ?? [];
  return {
    Devices: (r?.devices ?? []).map((each) => ({
      PathOnHost: each.pathOnHost,
      PathInContainer: each.pathInContainer,
      CgroupPermissions: each.cgroupPermissions,
    })),
    DeviceCgroupRules: r?.deviceCgroupRules?.values ?? null,
    DeviceRequests:
      requests.length === 0
        ? null
        : requests.map((each) => ({
            Driver: each.driver,
            Count: each.count,
            DeviceIDs: each.deviceIds,
            Capabilities: each.capabilities.map((list) => list.values),
            Options: each.options,
          })),
  };
}

function rest(r: Resources | undefined): Record<string, JsonOut> {
  const ulimits = r?.ulimits ?? [];
  return {
    KernelMemoryTCP: omitZero(r?.kernelMemoryTcpBytes),
    MemoryReservation: r?.memoryReservationBytes ?? 0,
    MemorySwap: r?.memorySwapBytes ?? 0,
    MemorySwappiness: r?.memorySwappiness ?? null,
    OomKillDisable: r?.oomKillDisable ?? null,
    PidsLimit: r?.pidsLimit ?? null,
    Ulimits:
      ulimits.length === 0
        ? null
        : ulimits.map((each) => ({ Name: each.name, Hard: each.hard, Soft: each.soft })),
    CpuCount: r?.cpuCount ?? 0,
    CpuPercent: r?.cpuPercent ?? 0,
    IOMaximumIOps: r?.ioMaximumIops ?? 0,
    IOMaximumBandwidth: r?.ioMaximumBandwidth ?? 0,
  };
}

const omitZero = (value: bigint | undefined): bigint | undefined =>
  value === undefined || value === 0n ? undefined : value;

function throttles(list: readonly ThrottleDevice[] | undefined): JsonOut {
  return (list ?? []).map((each) => ({ Path: each.path, Rate: each.rate }));
}
