/** Docker's Resources (part of HostConfig, and the body of update) → Resources. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { invalidArgument } from "@gantry/errors";
import type { ResourcesSchema } from "@gantry/proto/container";
import { opened } from "../encode/version-gates.ts";
import type { Fields } from "./fields.ts";
import { given, textList } from "./init.ts";

/** Lists that are null in inspect when they are absent, and `[]` when they were sent so. */
export const messageLists = [
  "BlkioWeightDevice",
  "BlkioDeviceReadBps",
  "BlkioDeviceWriteBps",
  "BlkioDeviceReadIOps",
  "BlkioDeviceWriteIOps",
  "Devices",
  "DeviceRequests",
  "Ulimits",
] as const;

/** Decodes limits. */
export function decodeResources(
  fields: Fields,
  version: number,
): MessageInitShape<typeof ResourcesSchema> {
  return given({
    ...cpu(fields),
    ...memory(fields, version),
    ...blockIo(fields),
    cgroupParent: fields.text("CgroupParent"),
    pidsLimit: fields.optInteger("PidsLimit"),
    ulimits: fields.objects("Ulimits").map((each) => ({
      name: each.text("Name"),
      soft: each.integer("Soft"),
      hard: each.integer("Hard"),
    })),
    devices: fields.structs("Devices").map((each) => ({
      pathOnHost: each.text("PathOnHost"),
      pathInContainer: each.text("PathInContainer"),
      cgroupPermissions: each.text("CgroupPermissions"),
    })),
    deviceCgroupRules: textList(fields.texts("DeviceCgroupRules")),
    deviceRequests: fields.structs("DeviceRequests").map(deviceRequest),
  });
}

function cpu(fields: Fields) {
  return {
    cpuShares: fields.integer("CpuShares"),
    nanoCpus: fields.integer("NanoCpus"),
    cpuPeriodUs: fields.integer("CpuPeriod"),
    cpuQuotaUs: fields.integer("CpuQuota"),
    cpuRealtimePeriodUs: fields.integer("CpuRealtimePeriod"),
    cpuRealtimeRuntimeUs: fields.integer("CpuRealtimeRuntime"),
    cpusetCpus: fields.text("CpusetCpus"),
    cpusetMems: fields.text("CpusetMems"),
    cpuCount: fields.integer("CpuCount"),
    cpuPercent: fields.integer("CpuPercent"),
  };
}

function memory(fields: Fields, version: number) {
  const takesTcp = opened("kernelMemoryTcp", version) && !opened("noKernelMemoryTcp", version);
  return {
    memoryBytes: fields.integer("Memory"),
    kernelMemoryTcpBytes: takesTcp ? fields.integer("KernelMemoryTCP") : 0n,
    memoryReservationBytes: fields.integer("MemoryReservation"),
    memorySwapBytes: fields.integer("MemorySwap"),
    memorySwappiness: fields.optInteger("MemorySwappiness"),
    oomKillDisable: fields.optFlag("OomKillDisable"),
  };
}

function blockIo(fields: Fields) {
  return {
    blkioWeight: Number(fields.unsigned("BlkioWeight", 16)),
    blkioWeightDevice: fields.objects("BlkioWeightDevice").map((each) => ({
      path: each.text("Path"),
      weight: Number(each.unsigned("Weight", 16)),
    })),
    blkioDeviceReadBps: throttles(fields, "BlkioDeviceReadBps"),
    blkioDeviceWriteBps: throttles(fields, "BlkioDeviceWriteBps"),
    blkioDeviceReadIops: throttles(fields, "BlkioDeviceReadIOps"),
    blkioDeviceWriteIops: throttles(fields, "BlkioDeviceWriteIOps"),
    ioMaximumIops: fields.unsigned("IOMaximumIOps"),
    ioMaximumBandwidth: fields.unsigned("IOMaximumBandwidth"),
  };
}

function throttles(fields: Fields, name: string) {
  return fields
    .objects(name)
    .map((each) => ({ path: each.text("Path"), rate: each.unsigned("Rate") }));
}

function deviceRequest(fields: Fields) {
  return {
    driver: fields.text("Driver"),
    count: fields.small("Count"),
    deviceIds: fields.texts("DeviceIDs") ?? [],
    capabilities: (fields.list("Capabilities") ?? []).map((each) => {
      if (Array.isArray(each) && each.every((word) => typeof word === "string")) {
        return { values: each };
      }
      throw invalidArgument("invalid JSON: Capabilities: expected arrays of strings");
    }),
    options: fields.textMap("Options") ?? {},
    emptyFields: [
      ...(["DeviceIDs", "Capabilities"] as const).filter((name) => fields.list(name)?.length === 0),
      ...(fields.map("Options")?.size === 0 ? ["Options"] : []),
    ],
  };
}
