/** `linux.resources` of the bundle, and of updates. */
import type { RuntimeDeviceRule, RuntimeResources } from "@gantry/oci";
import type { Resources } from "../nouns.ts";
import type { BlockDeviceNumbers, BundleInput } from "./bundle-input.ts";

const periodUs = 100_000n;
const nanoPerCpu = 1_000_000_000n;

export function buildResources(input: BundleInput): RuntimeResources {
  const resources = input.record.hostConfig.resources;
  const limits = resources === undefined ? {} : buildLimits(resources, input.blockDevices);
  return { devices: deviceRules(input), ...limits };
}

/** Limits alone: what is zero is left out, so that it stays as it is. */
export function buildLimits(
  resources: Resources,
  blockDevices: BlockDeviceNumbers,
): RuntimeResources {
  const memory = memoryLimits(resources);
  const cpu = cpuLimits(resources);
  const blockIO = blockLimits(resources, blockDevices);
  return {
    ...(Object.keys(memory).length > 0 ? { memory } : {}),
    ...(Object.keys(cpu).length > 0 ? { cpu } : {}),
    ...(resources.pidsLimit === undefined ? {} : { pids: { limit: resources.pidsLimit || -1n } }),
    ...(Object.keys(blockIO).length > 0 ? { blockIO } : {}),
  };
}

function memoryLimits(from: Resources): NonNullable<RuntimeResources["memory"]> {
  return {
    ...(from.memoryBytes !== 0n ? { limit: from.memoryBytes } : {}),
    ...(from.memoryReservationBytes !== 0n ? { reservation: from.memoryReservationBytes } : {}),
    ...(from.memorySwapBytes !== 0n ? { swap: from.memorySwapBytes } : {}),
    ...(from.memorySwappiness !== undefined ? { swappiness: Number(from.memorySwappiness) } : {}),
    ...(from.oomKillDisable === true ? { disableOOMKiller: true } : {}),
    ...(from.kernelMemoryTcpBytes !== 0n ? { kernelTCP: from.kernelMemoryTcpBytes } : {}),
  };
}

function cpuLimits(from: Resources): NonNullable<RuntimeResources["cpu"]> {
  const fromCpus = from.nanoCpus > 0n;
  const quota = fromCpus ? (from.nanoCpus * periodUs) / nanoPerCpu : from.cpuQuotaUs;
  const period = fromCpus ? periodUs : from.cpuPeriodUs;
  return {
    ...(from.cpuShares !== 0n ? { shares: Number(from.cpuShares) } : {}),
    ...(quota !== 0n ? { quota } : {}),
    ...(period !== 0n ? { period: Number(period) } : {}),
    ...(from.cpuRealtimeRuntimeUs !== 0n ? { realtimeRuntime: from.cpuRealtimeRuntimeUs } : {}),
    ...(from.cpuRealtimePeriodUs !== 0n
      ? { realtimePeriod: Number(from.cpuRealtimePeriodUs) }
      : {}),
    ...(from.cpusetCpus !== "" ? { cpus: from.cpusetCpus } : {}),
    ...(from.cpusetMems !== "" ? { mems: from.cpusetMems } : {}),
  };
}

function blockLimits(
  from: Resources,
  numbers: BlockDeviceNumbers,
): NonNullable<RuntimeResources["blockIO"]> {
  const rates = (list: readonly { readonly path: string; readonly rate: bigint }[]) =>
    list.flatMap(({ path, rate }) => {
      const found = numbers.get(path);
      return found === undefined ? [] : [{ ...found, rate }];
    });
  const weights = from.blkioWeightDevice.flatMap(({ path, weight }) => {
    const found = numbers.get(path);
    return found === undefined ? [] : [{ ...found, weight }];
  });
  const lists = {
    weightDevice: weights,
    throttleReadBpsDevice: rates(from.blkioDeviceReadBps),
    throttleWriteBpsDevice: rates(from.blkioDeviceWriteBps),
    throttleReadIOPSDevice: rates(from.blkioDeviceReadIops),
    throttleWriteIOPSDevice: rates(from.blkioDeviceWriteIops),
  };
  return {
    ...(from.blkioWeight !== 0 ? { weight: from.blkioWeight } : {}),
    ...Object.fromEntries(Object.entries(lists).filter(([, list]) => list.length > 0)),
  };
}

/** Paths of all block devices that limits name. */
export function limitedDevices(resources: Resources | undefined): string[] {
  if (resources === undefined) return [];
  const lists = [
    resources.blkioWeightDevice,
    resources.blkioDeviceReadBps,
    resources.blkioDeviceWriteBps,
    resources.blkioDeviceReadIops,
    resources.blkioDeviceWriteIops,
  ];
  return [...new Set(lists.flat().map((each) => each.path))];
}

function deviceRules(input: BundleInput): RuntimeDeviceRule[] {
  const { hostConfig } = input.record;
  if (hostConfig.privileged) return [{ allow: true, access: "rwm" }];
  const granted = input.devices.map(({ device, access }): RuntimeDeviceRule => {
    const { major, minor } = device;
    return {
      allow: true,
      type: device.type === "b" ? "b" : "c",
      ...(major === undefined ? {} : { major }),
      ...(minor === undefined ? {} : { minor }),
      access,
    };
  });
  const asked = hostConfig.resources?.deviceCgroupRules?.values ?? [];
  return [...input.defaults.deviceRules, ...granted, ...asked.map(parseRule)];
}

/** `c 1:3 rwm`, already checked. */
function parseRule(rule: string): RuntimeDeviceRule {
  const [type = "a", numbers = "*:*", access = "rwm"] = rule.split(" ");
  const [major, minor] = numbers.split(":");
  const number = (text: string | undefined): number | undefined =>
    text === undefined || text === "*" ? undefined : Number(text);
  const [majorNumber, minorNumber] = [number(major), number(minor)];
  return {
    allow: true,
    type,
    ...(majorNumber === undefined ? {} : { major: majorNumber }),
    ...(minorNumber === undefined ? {} : { minor: minorNumber }),
    access,
  };
}
