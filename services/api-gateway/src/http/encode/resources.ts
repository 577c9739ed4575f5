/** Resources → the resource fields of Docker's HostConfig. */
import type {
  DeviceRequest,
  Resources,
  ThrottleDevice,
  WeightDevice,
} from "@gantry/proto/container";
import type { messageLists } from "../decode/resources.ts";
import type { JsonOut } from "./json.ts";

/** Encodes limits; absent ones as Docker's zero values. @param empty names of lists that were sent empty */
export function encodeResources(
  resources: Resources | undefined,
  empty: readonly string[],
): Record<string, JsonOut> {
  const list: ListEncoder = (name, items, encode) =>
    items === undefined || (items.length === 0 && !empty.includes(name)) ? null : items.map(encode);
  return {
    ...cpu(resources),
    ...blockIo(resources, list),
    ...cpuTimes(resources),
    ...devices(resources, list),
    ...rest(resources, list),
  };
}

/** Encodes a list of messages. */
type ListEncoder = <Item>(
  name: (typeof messageLists)[number],
  items: readonly Item[] | undefined,
  encode: (item: Item) => JsonOut,
) => JsonOut;

function cpu(r: Resources | undefined): Record<string, JsonOut> {
  return {
    CpuShares: r?.cpuShares ?? 0,
    Memory: r?.memoryBytes ?? 0,
    NanoCpus: r?.nanoCpus ?? 0,
    CgroupParent: r?.cgroupParent ?? "",
  };
}

function blockIo(r: Resources | undefined, list: ListEncoder): Record<string, JsonOut> {
  const weight = (each: WeightDevice): JsonOut => ({ Path: each.path, Weight: each.weight });
  const rate = (each: ThrottleDevice): JsonOut => ({ Path: each.path, Rate: each.rate });
  return {
    BlkioWeight: r?.blkioWeight ?? 0,
    BlkioWeightDevice: list("BlkioWeightDevice", r?.blkioWeightDevice, weight),
    BlkioDeviceReadBps: list("BlkioDeviceReadBps", r?.blkioDeviceReadBps, rate),
    BlkioDeviceWriteBps: list("BlkioDeviceWriteBps", r?.blkioDeviceWriteBps, rate),
    BlkioDeviceReadIOps: list("BlkioDeviceReadIOps", r?.blkioDeviceReadIops, rate),
    BlkioDeviceWriteIOps: list("BlkioDeviceWriteIOps", r?.blkioDeviceWriteIops, rate),
  };
}

function cpuTimes(r: Resources | undefined): Record<string, JsonOut> {
  return {
    CpuPeriod: r?.cpuPeriodUs ?? 0,
    CpuQuota: r?.cpuQuotaUs ?? 0,
    CpuRealtimePeriod: r?.cpuRealtimePeriodUs ?? 0,
    CpuRealtimeRuntime: r?.cpuRealtimeRuntimeUs ?? 0,
    CpusetCpus: r?.cpusetCpus ?? "",
    CpusetMems: r?.cpusetMems ?? "",
  };
}

function devices(r: Resources | undefined, list: ListEncoder): Record<string, JsonOut> {
  return {
    Devices: list("Devices", r?.devices, (each) => ({
      PathOnHost: each.pathOnHost,
      PathInContainer: each.pathInContainer,
      CgroupPermissions: each.cgroupPermissions,
    })),
    DeviceCgroupRules: r?.deviceCgroupRules?.values ?? null,
    DeviceRequests: list("DeviceRequests", r?.deviceRequests, (each) => ({
      Driver: each.driver,
      Count: each.count,
      DeviceIDs: nullUnlessSent(each, "DeviceIDs", each.deviceIds),
      Capabilities: nullUnlessSent(
        each,
        "Capabilities",
        each.capabilities.map(({ values }) => values),
      ),
      Options: nullUnlessSent(each, "Options", each.options),
    })),
  };
}

function nullUnlessSent<Field extends JsonOut & object>(
  request: DeviceRequest,
  name: string,
  field: Field,
): Field | null {
  const isEmpty = Object.keys(field).length === 0;
  return isEmpty && !request.emptyFields.includes(name) ? null : field;
}

function rest(r: Resources | undefined, list: ListEncoder): Record<string, JsonOut> {
  return {
    KernelMemoryTCP: omitZero(r?.kernelMemoryTcpBytes),
    MemoryReservation: r?.memoryReservationBytes ?? 0,
    MemorySwap: r?.memorySwapBytes ?? 0,
    MemorySwappiness: r?.memorySwappiness ?? null,
    OomKillDisable: r?.oomKillDisable ?? null,
    PidsLimit: r?.pidsLimit ?? null,
    Ulimits: list("Ulimits", r?.ulimits, ({ name, hard, soft }) => ({
      Name: name,
      Hard: hard,
      Soft: soft,
    })),
    CpuCount: r?.cpuCount ?? 0,
    CpuPercent: r?.cpuPercent ?? 0,
    IOMaximumIOps: r?.ioMaximumIops ?? 0,
    IOMaximumBandwidth: r?.ioMaximumBandwidth ?? 0,
  };
}

const omitZero = (value: bigint | undefined): bigint | undefined =>
  value === undefined || value === 0n ? undefined : value;
