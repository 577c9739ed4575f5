/**
 * Limits: refusals in Docker's words, and what this kernel cannot do, which is dropped with a
 * warning. The result is what is kept and applied.
 */
import { invalidArgument } from "@gantry/errors";
import type { HostFacts, KernelFeatures } from "../host-facts.ts";
import type { Resources } from "../nouns.ts";
import { parseNumberList } from "./number-list.ts";

const leastMemoryBytes = 6n * 1024n * 1024n;

/** Resources as they are kept, and what the user should hear. */
export interface NormalizedResources {
  readonly resources: Resources;
  readonly warnings: readonly string[];
}

/**
 * Checks limits of a create or an update and drops what the kernel has not.
 * @param update true: other limits are already in force, so that a swap limit may come alone.
 */
export function normalizeResources(
  given: Resources,
  host: HostFacts,
  update = false,
): NormalizedResources {
  const warnings: string[] = [];
  const resources = withNeutralValues(given, update);
  dropMissing(resources, memoryDrops(resources, host.features), warnings);
  if (resources.oomKillDisable === true && !resources.memoryBytes) {
    warnings.push(
      "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.",
    );
  }
  dropMissing(resources, cpuDrops(resources, host.features), warnings);
  dropMissing(resources, blkioDrops(resources, host.features), warnings);
  validateMemory(resources, update);
  validateCpu(resources, host);
  validateBlkio(resources);
  validateQos(resources, update);
  return { resources: withDefaults(resources, host), warnings };
}

/** Values that mean "not set"; an update that lifts the limit of processes is kept as 0. */
function withNeutralValues(given: Resources, update: boolean): Resources {
  const copy = { ...given };
  if (copy.memorySwappiness === -1n) delete copy.memorySwappiness;
  if (copy.pidsLimit !== undefined && copy.pidsLimit <= 0n) {
    if (update) copy.pidsLimit = 0n;
    else delete copy.pidsLimit;
  }
  return copy;
}

/** MemorySwap is twice the memory where only that is limited; OomKillDisable has a value on v1 only. */
function withDefaults(resources: Resources, host: HostFacts): Resources {
  const copy = { ...resources };
  if (copy.memoryBytes > 0n && copy.memorySwapBytes === 0n && host.features.swapLimit) {
    copy.memorySwapBytes = copy.memoryBytes * 2n;
  }
  if (host.cgroupVersion === "2") delete copy.oomKillDisable;
  else copy.oomKillDisable ??= false;
  return copy;
}

interface Drop {
  readonly missing: boolean;
  readonly asked: boolean;
  readonly warning: string;
  clear(resources: Resources): void;
}

const discarded = (what: string, effect: string): string =>
  `Your kernel does not support ${what} or the cgroup is not mounted. ${effect}`;

function dropMissing(resources: Resources, drops: readonly Drop[], warnings: string[]): void {
  for (const drop of drops) {
    if (!drop.missing || !drop.asked) continue;
    warnings.push(drop.warning);
    drop.clear(resources);
  }
}

function memoryDrops(given: Resources, kernel: KernelFeatures): Drop[] {
  return [
    {
      missing: !kernel.memoryLimit,
      asked: given.memoryBytes > 0n,
      warning: discarded("memory limit capabilities", "Limitation discarded."),
      clear: (to) => Object.assign(to, { memoryBytes: 0n, memorySwapBytes: -1n }),
    },
    {
      missing: !kernel.swapLimit,
      asked:
        given.memoryBytes > 0n && given.memorySwapBytes !== -1n && given.memorySwapBytes !== 0n,
      warning: discarded("swap limit capabilities", "Memory limited without swap."),
      clear: (to) => Object.assign(to, { memorySwapBytes: -1n }),
    },
    {
      missing: !kernel.memorySwappiness,
      asked: given.memorySwappiness !== undefined,
      warning: discarded("memory swappiness capabilities", "Memory swappiness discarded."),
      clear: (to) => {
        delete to.memorySwappiness;
      },
    },
    {
      missing: !kernel.oomKillDisable,
      asked: given.oomKillDisable === true,
      warning: "Your kernel does not support OomKillDisable. OomKillDisable discarded.",
      clear: (to) => Object.assign(to, { oomKillDisable: false }),
    },
    {
      missing: !kernel.pidsLimit,
      asked: given.pidsLimit !== undefined,
      warning: discarded("PIDs limit capabilities", "PIDs limit discarded."),
      clear: (to) => {
        delete to.pidsLimit;
      },
    },
  ];
}

function cpuDrops(given: Resources, kernel: KernelFeatures): Drop[] {
  return [
    {
      missing: !kernel.cpuShares,
      asked: given.cpuShares > 0n,
      warning: discarded("CPU shares", "Shares discarded."),
      clear: (to) => Object.assign(to, { cpuShares: 0n }),
    },
    {
      missing: !kernel.cpuCfsQuota,
      asked: given.cpuPeriodUs !== 0n || given.cpuQuotaUs !== 0n,
      warning: discarded("CPU CFS scheduler", "CPU period/quota discarded."),
      clear: (to) => Object.assign(to, { cpuPeriodUs: 0n, cpuQuotaUs: 0n }),
    },
    {
      missing: !kernel.cpuSet,
      asked: given.cpusetCpus !== "" || given.cpusetMems !== "",
      warning: discarded("cpuset", "Cpuset discarded."),
      clear: (to) => Object.assign(to, { cpusetCpus: "", cpusetMems: "" }),
    },
    {
      missing: !kernel.cpuRealtime,
      asked: given.cpuRealtimePeriodUs !== 0n || given.cpuRealtimeRuntimeUs !== 0n,
      warning: discarded("CPU real-time scheduler", "CPU real-time settings discarded."),
      clear: (to) => Object.assign(to, { cpuRealtimePeriodUs: 0n, cpuRealtimeRuntimeUs: 0n }),
    },
    {
      missing: true,
      asked: given.cpuPercent > 0n,
      warning: "linux does not support CPU percent. Percent discarded.",
      clear: (to) => Object.assign(to, { cpuPercent: 0n }),
    },
  ];
}

function blkioDrops(given: Resources, kernel: KernelFeatures): Drop[] {
  const rates = [
    ["blkioDeviceReadBps", "BPS Block I/O read limit"],
    ["blkioDeviceWriteBps", "BPS Block I/O write limit"],
    ["blkioDeviceReadIops", "IOPS Block read limit in IO"],
    ["blkioDeviceWriteIops", "IOPS Block write limit in IO"],
  ] as const;
  return [
    {
      missing: !kernel.blkioWeight,
      asked: given.blkioWeight > 0,
      warning: discarded("Block I/O weight", "Weight discarded."),
      clear: (to) => Object.assign(to, { blkioWeight: 0 }),
    },
    {
      missing: !kernel.blkioWeight,
      asked: given.blkioWeightDevice.length > 0,
      warning: discarded("Block I/O weight_device", "Weight-device discarded."),
      clear: (to) => Object.assign(to, { blkioWeightDevice: [] }),
    },
    ...rates.map(
      ([member, words]): Drop => ({
        missing: !kernel.blkioThrottle,
        asked: given[member].length > 0,
        warning: discarded(words, `${words} discarded.`),
        clear: (to) => Object.assign(to, { [member]: [] }),
      }),
    ),
  ];
}

function validateMemory(resources: Resources, update: boolean): void {
  const { memoryBytes, memorySwapBytes, memoryReservationBytes } = resources;
  refuseIf(
    memoryBytes !== 0n && memoryBytes < leastMemoryBytes,
    "Minimum memory limit allowed is 6MB",
  );
  refuseIf(
    memoryBytes > 0n && memorySwapBytes > 0n && memorySwapBytes < memoryBytes,
    "Minimum memoryswap limit should be larger than memory limit, see usage",
  );
  refuseIf(
    memoryBytes === 0n && memorySwapBytes > 0n && !update,
    "You should always set the Memory limit when using Memoryswap limit, see usage",
  );
  const swappiness = resources.memorySwappiness;
  refuseIf(
    swappiness !== undefined && (swappiness < 0n || swappiness > 100n),
    `Invalid value: ${String(swappiness)}, valid memory swappiness range is 0-100`,
  );
  refuseIf(
    memoryReservationBytes !== 0n && memoryReservationBytes < leastMemoryBytes,
    "Minimum memory reservation allowed is 6MB",
  );
  refuseIf(
    memoryBytes > 0n && memoryReservationBytes > memoryBytes,
    "Minimum memory limit can not be less than memory reservation limit, see usage",
  );
}

function validateCpu(resources: Resources, host: HostFacts): void {
  const { cpuShares, nanoCpus, cpuPeriodUs, cpuQuotaUs } = resources;
  refuseIf(
    cpuShares < 0n,
    `invalid CPU shares (${String(cpuShares)}): value must be a positive integer`,
  );
  refuseIf(
    nanoCpus !== 0n && cpuPeriodUs !== 0n,
    "Conflicting options: Nano CPUs and CPU Period cannot both be set",
  );
  refuseIf(
    nanoCpus !== 0n && cpuQuotaUs !== 0n,
    "Conflicting options: Nano CPUs and CPU Quota cannot both be set",
  );
  const cpus = String(host.cpus);
  refuseIf(
    nanoCpus < 0n || nanoCpus > BigInt(host.cpus) * 1_000_000_000n,
    `range of CPUs is from 0.01 to ${cpus}.00, as there are only ${cpus} CPUs available`,
  );
  refuseIf(
    cpuPeriodUs !== 0n && (cpuPeriodUs < 1000n || cpuPeriodUs > 1_000_000n),
    "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
  );
  refuseIf(
    cpuQuotaUs > 0n && cpuQuotaUs < 1000n,
    "CPU cfs quota can not be less than 1ms (i.e. 1000)",
  );
  refuseIf(
    resources.cpuRealtimePeriodUs !== 0n &&
      resources.cpuRealtimeRuntimeUs > resources.cpuRealtimePeriodUs,
    "cpu real-time runtime cannot be higher than cpu real-time period",
  );
  validateCpuset("cpuset cpus", "CPUs", resources.cpusetCpus, host.cpusetCpus);
  validateCpuset("cpuset mems", "memory nodes", resources.cpusetMems, host.cpusetMems);
}

function validateCpuset(what: string, things: string, requested: string, available: string): void {
  const wanted = parseNumberList(requested);
  if (wanted === undefined)
    throw invalidArgument(`Invalid value ${requested} for ${what}: invalid format: ${requested}`);
  const present = parseNumberList(available) ?? new Set<number>();
  refuseIf(
    [...wanted].some((number) => !present.has(number)),
    `Requested ${things} are not available - requested ${requested}, available: ${available}`,
  );
}

function validateBlkio(resources: Resources): void {
  const outside = (weight: number): boolean => weight > 0 && (weight < 10 || weight > 1000);
  refuseIf(outside(resources.blkioWeight), "Range of blkio weight is from 10 to 1000");
  refuseIf(
    resources.blkioWeightDevice.some((each) => outside(each.weight)),
    "Range of blkio weight is from 10 to 1000",
  );
}

/** What only Windows has. */
function validateQos({ ioMaximumBandwidth, ioMaximumIops }: Resources, update: boolean): void {
  const refused = (what: string): string =>
    update
      ? "Invalid QoS settings: linux does not support Maximum IO Bandwidth or Maximum IO IOps"
      : `invalid option: QoS maximum ${what} configuration is not supported on linux`;
  refuseIf(ioMaximumBandwidth !== 0n, refused("bandwidth"));
  refuseIf(ioMaximumIops !== 0n, refused("IOPs"));
}

function refuseIf(condition: boolean, message: string): void {
  if (condition) throw invalidArgument(message);
}
