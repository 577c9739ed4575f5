/**
 * Limits of linux.resources as writes to files, per controller: each is where the machine has it,
 * so a hybrid machine gets writes of both versions. Order matters inside one controller.
 */
import { invalidArgument } from "@gantry/errors";
import type { RuntimeResources } from "@gantry/oci/runtime-spec";
import { type CgroupLayout, controllerVersion } from "./cgroup-layout.ts";
import type { CgroupWrite } from "./plan-types.ts";

type Memory = NonNullable<RuntimeResources["memory"]>;
type Cpu = NonNullable<RuntimeResources["cpu"]>;
type BlockIo = NonNullable<RuntimeResources["blockIO"]>;
type Integer = number | bigint;

/** Writes of one controller; on v2 all controllers share one directory. */
export interface ControllerWrites {
  readonly controller: string;
  readonly version: 1 | 2;
  readonly writes: readonly CgroupWrite[];
}

/** What a live cgroup has now, where the order of writes depends on it. */
export interface CurrentMemory {
  /** v1 memory.memsw.limit_in_bytes. */
  readonly memoryAndSwapBytes: bigint;
}

function write(file: string, value: Integer | string, optional = false): CgroupWrite {
  return { file, value: String(value), optional };
}

/** A write for a member that is there. */
function maybe<T>(
  value: T | undefined,
  make: (value: T) => CgroupWrite | CgroupWrite[],
): CgroupWrite[] {
  if (value === undefined) return [];
  const made = make(value);
  return Array.isArray(made) ? made : [made];
}

/** Positive numbers are limits, others lift one. */
function maxOr(value: Integer): string {
  return value > 0 ? String(value) : "max";
}

// ---- memory -----------------------------------------------------------------------------------

function memoryV1(memory: Memory, current: CurrentMemory | undefined): CgroupWrite[] {
  const limit = maybe(memory.limit, (value) => write("memory.limit_in_bytes", value));
  const swap = maybe(memory.swap, (value) => write("memory.memsw.limit_in_bytes", value));
  return [
    ...(raisesAboveSwap(memory, current) ? [...swap, ...limit] : [...limit, ...swap]),
    ...maybe(memory.reservation, (value) => write("memory.soft_limit_in_bytes", value)),
    // Kernels since 6.x have no limit of kernel memory of its own any more.
    ...maybe(memory.kernel, (value) => write("memory.kmem.limit_in_bytes", value, true)),
    ...maybe(memory.kernelTCP, (value) => write("memory.kmem.tcp.limit_in_bytes", value, true)),
    ...maybe(memory.swappiness, (value) => write("memory.swappiness", value)),
    ...(memory.disableOOMKiller === true ? [write("memory.oom_control", 1)] : []),
  ];
}

/** Memory may never be above memory and swap together, so the larger of the two goes first. */
function raisesAboveSwap(memory: Memory, current: CurrentMemory | undefined): boolean {
  if (current === undefined || memory.swap === undefined) return false;
  if (memory.swap < 0) return true;
  return memory.limit !== undefined && BigInt(memory.limit) > current.memoryAndSwapBytes;
}

function swapV2(memory: Memory): CgroupWrite[] {
  const { swap, limit } = memory;
  if (swap === undefined || swap === 0) return [];
  if (swap < 0) return [write("memory.swap.max", "max")];
  if (limit === undefined || limit <= 0) {
    throw invalidArgument("memory and swap can only be limited together with memory");
  }
  const rest = BigInt(swap) - BigInt(limit);
  if (rest < 0n)
    throw invalidArgument("memory and swap together must not be below the memory limit");
  // Without swap in the kernel the file is missing, and nothing can be swapped out.
  return [write("memory.swap.max", rest, rest === 0n)];
}

function memoryV2(memory: Memory): CgroupWrite[] {
  return [
    ...swapV2(memory),
    ...maybe(memory.limit, (value) => write("memory.max", maxOr(value))),
    ...maybe(memory.reservation, (value) => write("memory.low", maxOr(value))),
  ];
}

// ---- cpu --------------------------------------------------------------------------------------

function cpuV1(cpu: Cpu): CgroupWrite[] {
  return [
    ...maybe(cpu.idle, (value) => write("cpu.idle", value)),
    ...maybe(cpu.shares, (value) => write("cpu.shares", value)),
    ...maybe(cpu.realtimePeriod, (value) => write("cpu.rt_period_us", value)),
    ...maybe(cpu.realtimeRuntime, (value) => write("cpu.rt_runtime_us", value)),
    ...maybe(cpu.period, (value) => (value === 0 ? [] : write("cpu.cfs_period_us", value))),
    ...maybe(cpu.quota, (value) => (value === 0 ? [] : write("cpu.cfs_quota_us", value))),
    ...maybe(cpu.burst, (value) => write("cpu.cfs_burst_us", value)),
  ];
}

const fewestShares = 2;
const mostShares = 262_144;

/**
 * Why a limit would not become what it says, though the kernel takes it; undefined when it would. v1 bounds shares
 * without a word; runc compares what it wrote with what it reads.
 */
export function limitProblem({ cpu }: RuntimeResources, layout: CgroupLayout): string | undefined {
  const shares = cpu?.shares ?? 0;
  if (shares === 0 || controllerVersion(layout, "cpu") !== 1) return undefined;
  if (shares < fewestShares) return `the minimum allowed cpu-shares is ${String(fewestShares)}`;
  if (shares > mostShares) return `the maximum allowed cpu-shares is ${String(mostShares)}`;
  return undefined;
}

/** Shares 2..262144 to weight 1..10000, as runc and systemd convert them. */
export function weightOfShares(shares: number): number {
  const bounded = Math.min(Math.max(shares, fewestShares), mostShares);
  return 1 + Math.floor(((bounded - fewestShares) * 9999) / (mostShares - fewestShares));
}

const defaultPeriodUs = 100_000;

function cpuMax(cpu: Cpu): CgroupWrite[] {
  const quota = cpu.quota ?? 0;
  const period = cpu.period ?? 0;
  if (quota === 0 && period === 0) return [];
  const periodUs = period === 0 ? defaultPeriodUs : period;
  return [write("cpu.max", `${quota === 0 ? "max" : maxOr(quota)} ${String(periodUs)}`)];
}

function cpuV2(cpu: Cpu): CgroupWrite[] {
  return [
    ...maybe(cpu.idle, (value) => write("cpu.idle", value)),
    ...maybe(cpu.shares, (value) =>
      value === 0 ? [] : write("cpu.weight", weightOfShares(value)),
    ),
    ...cpuMax(cpu),
    ...maybe(cpu.burst, (value) => write("cpu.max.burst", value)),
  ];
}

function cpuset(cpu: Cpu): CgroupWrite[] {
  return [
    ...maybe(cpu.cpus, (value) => (value === "" ? [] : write("cpuset.cpus", value))),
    ...maybe(cpu.mems, (value) => (value === "" ? [] : write("cpuset.mems", value))),
  ];
}

// ---- block devices ----------------------------------------------------------------------------

type Rates = BlockIo["throttleReadBpsDevice"];

/** v1 files of the four rates, and their words in io.max. */
function rates(io: BlockIo): { file: string; word: string; rates: Rates }[] {
  const file = (name: string): string => `blkio.throttle.${name}_device`;
  return [
    { file: file("read_bps"), word: "rbps", rates: io.throttleReadBpsDevice },
    { file: file("write_bps"), word: "wbps", rates: io.throttleWriteBpsDevice },
    { file: file("read_iops"), word: "riops", rates: io.throttleReadIOPSDevice },
    { file: file("write_iops"), word: "wiops", rates: io.throttleWriteIOPSDevice },
  ];
}

const device = (each: { major: number; minor: number }): string =>
  `${String(each.major)}:${String(each.minor)}`;

/** Weights belong to the BFQ scheduler, whose file only kernels with BFQ have. */
function blockIoV1(io: BlockIo): CgroupWrite[] {
  return [
    ...maybe(io.weight, (value) => [
      write("blkio.bfq.weight", value, true),
      write("blkio.weight", value, true),
    ]),
    ...(io.weightDevice ?? []).flatMap((each) => [
      write("blkio.bfq.weight_device", `${device(each)} ${String(each.weight ?? 0)}`, true),
      write("blkio.weight_device", `${device(each)} ${String(each.weight ?? 0)}`, true),
    ]),
    ...rates(io).flatMap(({ file, rates: list }) =>
      (list ?? []).map((each) => write(file, `${device(each)} ${String(each.rate)}`)),
    ),
  ];
}

/** Weight 10..1000 to 1..10000. */
function ioWeight(weight: number): number {
  return 1 + Math.floor(((weight - 10) * 9999) / 990);
}

function blockIoV2(io: BlockIo): CgroupWrite[] {
  return [
    ...maybe(io.weight, (value) => [
      write("io.bfq.weight", value, true),
      write("io.weight", `default ${String(ioWeight(value))}`, true),
    ]),
    ...(io.weightDevice ?? []).map((each) =>
      write("io.bfq.weight", `${device(each)} ${String(each.weight ?? 0)}`, true),
    ),
    ...rates(io).flatMap(({ word, rates: list }) =>
      (list ?? []).map((each) => write("io.max", `${device(each)} ${word}=${maxOr(each.rate)}`)),
    ),
  ];
}

// ---- the rest ---------------------------------------------------------------------------------

type HugePages = NonNullable<RuntimeResources["hugepageLimits"]>;

function hugePages(limits: HugePages, version: 1 | 2): CgroupWrite[] {
  const suffix = version === 1 ? "limit_in_bytes" : "max";
  return limits.flatMap(({ pageSize, limit }) => [
    write(`hugetlb.${pageSize}.${suffix}`, limit),
    // Reservations count too where the kernel (5.7 and later) can.
    write(`hugetlb.${pageSize}.rsvd.${suffix}`, limit, true),
  ]);
}

function networkPriorities(network: NonNullable<RuntimeResources["network"]>): CgroupWrite[] {
  return (network.priorities ?? []).map((each) =>
    write("net_prio.ifpriomap", `${each.name} ${String(each.priority)}`),
  );
}

type Writer = (version: 1 | 2) => CgroupWrite[];

/** Controllers in the order in which they are written, each with what it has to write. */
function writers(
  resources: RuntimeResources,
  current: CurrentMemory | undefined,
): [string, Writer][] {
  const { memory, cpu, pids, blockIO, hugepageLimits, network } = resources;
  const of =
    <T>(part: T | undefined, make: (part: T, version: 1 | 2) => CgroupWrite[]): Writer =>
    (version) =>
      part === undefined ? [] : make(part, version);
  return [
    ["cpuset", of(cpu, cpuset)],
    ["cpu", of(cpu, (part, version) => (version === 1 ? cpuV1(part) : cpuV2(part)))],
    [
      "memory",
      of(memory, (part, version) => (version === 1 ? memoryV1(part, current) : memoryV2(part))),
    ],
    ["pids", of(pids?.limit, (limit) => [write("pids.max", maxOr(limit))])],
    ["blkio", of(blockIO, (part, version) => (version === 1 ? blockIoV1(part) : blockIoV2(part)))],
    ["hugetlb", of(hugepageLimits, hugePages)],
    ["net_cls", of(network?.classID, (id) => [write("net_cls.classid", id)])],
    ["net_prio", of(network, networkPriorities)],
  ];
}

/** v2 calls it `io`. */
function versionOf(layout: CgroupLayout, controller: string): 1 | 2 | undefined {
  const found = controllerVersion(layout, controller);
  return found === undefined && controller === "blkio" ? controllerVersion(layout, "io") : found;
}

/**
 * All limits as writes. Throws invalid_argument for a limit whose controller the machine has not.
 * @param current of a live cgroup; a new one has no limits yet.
 */
export function compileLimits(
  resources: RuntimeResources,
  layout: CgroupLayout,
  current?: CurrentMemory,
): ControllerWrites[] {
  const result: ControllerWrites[] = [];
  for (const [controller, writer] of writers(resources, current)) {
    const version = versionOf(layout, controller);
    const writes = writer(version ?? 2);
    if (writes.length === 0) continue;
    if (version === undefined) {
      // What is optional on every machine is no fault on this one.
      if (writes.every((each) => each.optional === true)) continue;
      throw invalidArgument(
        `cannot set ${controller} limits: the ${controller} cgroup controller is not available`,
      );
    }
    result.push({ controller, version, writes });
  }
  return [...result, ...unified(resources.unified, layout)];
}

function unified(
  values: Readonly<Record<string, string>> | undefined,
  layout: CgroupLayout,
): ControllerWrites[] {
  const entries = Object.entries(values ?? {});
  if (entries.length === 0) return [];
  if (layout.v2 === undefined) throw invalidArgument("unified resources need cgroup v2");
  const writes = entries.map(([file, value]) => {
    if (file.includes("/")) throw invalidArgument(`unified resource ${file} must be a file name`);
    return write(file, value);
  });
  return [{ controller: "unified", version: 2, writes }];
}
