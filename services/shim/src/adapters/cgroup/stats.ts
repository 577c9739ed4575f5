/** Counters of a cgroup, each from the version that has its controller. */
import os from "node:os";
import { notFound } from "@gantry/errors";
import {
  type CgroupLayout,
  controllerVersion,
  hierarchyPath,
  v1With,
} from "../../compile/cgroup-layout.ts";
import type { CgroupStats } from "../../ports.ts";
import { parseCounters, parseNumber, readText } from "./files.ts";

type Part<K extends keyof CgroupStats> = Pick<CgroupStats, K>;
type Entries = CgroupStats["blkio"];

const unlimitedPids = (1n << 64n) - 1n;
const nsPerUs = 1000n;

export async function readCgroupStats(
  layout: CgroupLayout,
  cgroupPath: string,
): Promise<CgroupStats> {
  const folderOf = (controller: string): string => {
    const hierarchy = v1With(layout, controller) ?? layout.v2;
    return hierarchy === undefined ? "" : hierarchyPath(hierarchy, cgroupPath);
  };
  const isV1 = (controller: string): boolean => v1With(layout, controller) !== undefined;
  const [cpu, memory, pids, blkio] = await Promise.all([
    isV1("cpuacct") ? cpuV1(folderOf("cpuacct"), folderOf("cpu")) : cpuV2(folderOf("cpu")),
    isV1("memory") ? memoryV1(folderOf("memory")) : memoryV2(folderOf("memory")),
    readPids(folderOf("pids"), controllerVersion(layout, "pids")),
    isV1("blkio") ? blkioV1(folderOf("blkio")) : blkioV2(folderOf("io")),
  ]);
  if (cpu === undefined) throw notFound("cgroup", cgroupPath);
  const cgroupVersion = isV1("memory") || isV1("cpuacct") ? "1" : "2";
  return { cgroupVersion, ...cpu, ...memory, ...pids, blkio };
}

type Cpu = Part<
  | "cpuTotalNs"
  | "cpuKernelNs"
  | "cpuUserNs"
  | "percpuNs"
  | "throttlingPeriods"
  | "throttledPeriods"
  | "throttledNs"
>;

async function cpuV1(cpuacct: string, cpu: string): Promise<Cpu | undefined> {
  const [total, all, stat] = await Promise.all([
    readText(cpuacct, "cpuacct.usage"),
    readText(cpuacct, "cpuacct.usage_all"),
    readText(cpu, "cpu.stat"),
  ]);
  const cpuTotalNs = parseNumber(total);
  if (cpuTotalNs === undefined) return undefined;
  const split = parseUsageAll(all);
  const throttling = parseCounters(stat);
  return {
    cpuTotalNs,
    cpuUserNs: split.reduce((sum, each) => sum + each.user, 0n),
    cpuKernelNs: split.reduce((sum, each) => sum + each.kernel, 0n),
    percpuNs: split.map((each) => each.user + each.kernel),
    throttlingPeriods: throttling.get("nr_periods") ?? 0n,
    throttledPeriods: throttling.get("nr_throttled") ?? 0n,
    throttledNs: throttling.get("throttled_time") ?? 0n,
  };
}

/** A head line, then `cpu user system` for each possible CPU; those that the machine has not are left out. */
function parseUsageAll(text: string | undefined): { user: bigint; kernel: bigint }[] {
  const lines = (text ?? "").split("\n").slice(1);
  return lines.slice(0, os.cpus().length).flatMap((line) => {
    const [, user, kernel] = line.split(" ");
    return user === undefined || kernel === undefined
      ? []
      : [{ user: BigInt(user), kernel: BigInt(kernel) }];
  });
}

async function cpuV2(folder: string): Promise<Cpu | undefined> {
  const text = await readText(folder, "cpu.stat");
  if (text === undefined) return undefined;
  const stat = parseCounters(text);
  const us = (key: string): bigint => (stat.get(key) ?? 0n) * nsPerUs;
  return {
    cpuTotalNs: us("usage_usec"),
    cpuUserNs: us("user_usec"),
    cpuKernelNs: us("system_usec"),
    percpuNs: [],
    throttlingPeriods: stat.get("nr_periods") ?? 0n,
    throttledPeriods: stat.get("nr_throttled") ?? 0n,
    throttledNs: us("throttled_usec"),
  };
}

type Memory = Part<
  "memoryUsageBytes" | "memoryMaxUsageBytes" | "memoryLimitBytes" | "memoryFailcnt" | "memoryStats"
>;

/** No limit, or one that no machine has, is the machine's memory. */
function effectiveLimit(limit: bigint | undefined): bigint {
  const machine = BigInt(os.totalmem());
  return limit === undefined || limit > machine ? machine : limit;
}

async function memoryV1(folder: string): Promise<Memory> {
  const [usage, max, limit, failcnt, stat] = await Promise.all([
    readText(folder, "memory.usage_in_bytes"),
    readText(folder, "memory.max_usage_in_bytes"),
    readText(folder, "memory.limit_in_bytes"),
    readText(folder, "memory.failcnt"),
    readText(folder, "memory.stat"),
  ]);
  return {
    memoryUsageBytes: parseNumber(usage) ?? 0n,
    memoryMaxUsageBytes: parseNumber(max) ?? 0n,
    memoryLimitBytes: effectiveLimit(parseNumber(limit)),
    memoryFailcnt: parseNumber(failcnt) ?? 0n,
    memoryStats: Object.fromEntries(parseCounters(stat)),
  };
}

async function memoryV2(folder: string): Promise<Memory> {
  const [usage, limit, events, stat] = await Promise.all([
    readText(folder, "memory.current"),
    readText(folder, "memory.max"),
    readText(folder, "memory.events"),
    readText(folder, "memory.stat"),
  ]);
  return {
    memoryUsageBytes: parseNumber(usage) ?? 0n,
    memoryMaxUsageBytes: 0n,
    memoryLimitBytes: effectiveLimit(parseNumber(limit)),
    memoryFailcnt: parseCounters(events).get("oom") ?? 0n,
    memoryStats: Object.fromEntries(parseCounters(stat)),
  };
}

async function readPids(
  folder: string,
  version: 1 | 2 | undefined,
): Promise<Part<"pidsCurrent" | "pidsLimit">> {
  const [current, max] = await Promise.all([
    readText(folder, "pids.current"),
    readText(folder, "pids.max"),
  ]);
  const unlimited = version === 2 ? unlimitedPids : 0n;
  return { pidsCurrent: parseNumber(current) ?? 0n, pidsLimit: parseNumber(max) ?? unlimited };
}

/** Docker's arrays, with the file that BFQ has and the one that every kernel has. */
const blkioFiles = [
  ["io_service_bytes_recursive", "io_service_bytes_recursive"],
  ["io_serviced_recursive", "io_serviced_recursive"],
] as const;

async function blkioV1(folder: string): Promise<Entries> {
  const read = blkioFiles.map(async ([kind, file]) => {
    const bfq = parseBlkio(kind, await readText(folder, `blkio.bfq.${file}`));
    return bfq.length > 0
      ? bfq
      : parseBlkio(kind, await readText(folder, `blkio.throttle.${file}`));
  });
  return (await Promise.all(read)).flat();
}

/** Lines `8:0 Read 123`; the last line, a grand total, has no device. */
function parseBlkio(kind: string, text: string | undefined): Entries {
  return (text ?? "").split("\n").flatMap((line) => {
    const [, major, minor, op, value] = /^(\d+):(\d+) (\w+) (\d+)$/.exec(line) ?? [];
    if (major === undefined || minor === undefined || op === undefined || value === undefined)
      return [];
    return [{ kind, major: BigInt(major), minor: BigInt(minor), op, value: BigInt(value) }];
  });
}

const ioStatOps: Readonly<Record<string, string>> = { rbytes: "read", wbytes: "write" };

/** Lines `8:0 rbytes=1 wbytes=2 rios=3 wios=4 …`. */
async function blkioV2(folder: string): Promise<Entries> {
  const text = (await readText(folder, "io.stat")) ?? "";
  return text.split("\n").flatMap((line) => {
    const [device, ...fields] = line.split(" ");
    const [major, minor] = device?.split(":") ?? [];
    if (major === undefined || minor === undefined) return [];
    return fields.flatMap((field) => {
      const [key = "", value = "0"] = field.split("=");
      const op = ioStatOps[key];
      if (op === undefined) return [];
      const kind = "io_service_bytes_recursive";
      return [{ kind, major: BigInt(major), minor: BigInt(minor), op, value: BigInt(value) }];
    });
  });
}
