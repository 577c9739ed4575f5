/** GetStats: counters of cgroup, interfaces and system, read as they are. */
import { readFile, readlink } from "node:fs/promises";
import { create } from "@bufbuild/protobuf";
import {
  type GetStatsResponse,
  GetStatsResponseSchema,
  type InterfaceStats,
  InterfaceStatsSchema,
} from "@gantry/proto/shim";
import { type Brain, runningRun } from "./container.ts";
import { initPid, isProcessGone } from "./limits.ts";

/** USER_HZ is 100 on every architecture that we run on. */
const nsPerTick = 10_000_000n;

export async function getStats(brain: Brain, id: string): Promise<GetStatsResponse> {
  const { record } = runningRun(brain, id);
  const [cgroup, interfaces, system] = await Promise.all([
    brain.cgroups.stats(record.cgroupPath),
    readInterfaces(initPid(brain, id)),
    readSystemCpu(),
  ]);
  const { blkio, ...counters } = cgroup;
  return create(GetStatsResponseSchema, {
    ...counters,
    blkio,
    interfaces,
    ...system,
    readAtNano: BigInt(Date.now()) * 1_000_000n,
  });
}

/** None for a container on the host's network, whose counters are not its own. */
async function readInterfaces(pid: number): Promise<InterfaceStats[]> {
  try {
    const [theirs, ours] = await Promise.all([
      readlink(`/proc/${String(pid)}/ns/net`),
      readlink("/proc/self/ns/net"),
    ]);
    return theirs === ours
      ? []
      : parseNetDev(await readFile(`/proc/${String(pid)}/net/dev`, "utf8"));
  } catch (error) {
    if (isProcessGone(error)) return [];
    throw error;
  }
}

/** Two head lines, then `name: ` and sixteen counters. */
function parseNetDev(text: string): InterfaceStats[] {
  return text
    .split("\n")
    .slice(2)
    .flatMap((line) => {
      const [name, counters] = line.split(":");
      if (name === undefined || counters === undefined || name.trim() === "lo") return [];
      const values = counters.trim().split(/\s+/).map(BigInt);
      const at = (index: number): bigint => values[index] ?? 0n;
      return [
        create(InterfaceStatsSchema, {
          name: name.trim(),
          rxBytes: at(0),
          rxPackets: at(1),
          rxErrors: at(2),
          rxDropped: at(3),
          txBytes: at(8),
          txPackets: at(9),
          txErrors: at(10),
          txDropped: at(11),
        }),
      ];
    });
}

async function readSystemCpu(): Promise<{ systemCpuNs: bigint; onlineCpus: number }> {
  return parseProcStat(await readFile("/proc/stat", "utf8"));
}

/** The first line sums all CPUs: user, nice, system, idle, iowait, irq, softirq, steal (guest is in user already). */
function parseProcStat(text: string): { systemCpuNs: bigint; onlineCpus: number } {
  const lines = text.split("\n");
  const ticks = (lines[0] ?? "").split(/\s+/).slice(1, 9).map(BigInt);
  return {
    systemCpuNs: ticks.reduce((sum, each) => sum + each, 0n) * nsPerTick,
    onlineCpus: lines.filter((line) => /^cpu\d/.test(line)).length,
  };
}
