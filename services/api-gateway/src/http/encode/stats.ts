/** Samples → Docker's stats objects, in the shape of the host's cgroup version. */
import type { StatsContainerResponse, StatsSample } from "@gantry/proto/container";
import { type JsonOut, sorted } from "./json.ts";
import { rfc3339, zeroTime } from "./time.ts";
import { opened } from "./version-gates.ts";

/** One record. */
export function encodeStats(stats: StatsContainerResponse, version: number): JsonOut {
  const { current, previous } = stats;
  return {
    name: `/${stats.name}`,
    id: stats.id,
    os_type: opened("statsOsType", version) ? "linux" : undefined,
    read: current ? rfc3339(current.readAtNano) : zeroTime,
    preread: previous ? rfc3339(previous.readAtNano) : zeroTime,
    pids_stats: encodePids(current),
    blkio_stats: encodeBlkio(current),
    num_procs: 0,
    storage_stats: {},
    cpu_stats: encodeCpu(current),
    precpu_stats: encodeCpu(previous),
    memory_stats: encodeMemory(current),
    networks: encodeNetworks(current),
  };
}

const omitZero = (value: bigint): bigint | undefined => (value === 0n ? undefined : value);

function encodePids(sample: StatsSample | undefined): JsonOut {
  if (sample === undefined) return {};
  return { current: omitZero(sample.pidsCurrent), limit: omitZero(sample.pidsLimit) };
}

function encodeCpu(sample: StatsSample | undefined): JsonOut {
  return {
    cpu_usage: {
      total_usage: sample?.cpuTotalNs ?? 0,
      percpu_usage:
        sample === undefined || sample.percpuNs.length === 0 ? undefined : sample.percpuNs,
      usage_in_kernelmode: sample?.cpuKernelNs ?? 0,
      usage_in_usermode: sample?.cpuUserNs ?? 0,
    },
    system_cpu_usage: sample === undefined ? undefined : omitZero(sample.systemCpuNs),
    online_cpus: sample === undefined || sample.onlineCpus === 0 ? undefined : sample.onlineCpus,
    throttling_data: {
      periods: sample?.throttlingPeriods ?? 0,
      throttled_periods: sample?.throttledPeriods ?? 0,
      throttled_time: sample?.throttledNs ?? 0,
    },
  };
}

function encodeMemory(sample: StatsSample | undefined): JsonOut {
  if (sample === undefined) return {};
  return {
    usage: omitZero(sample.memoryUsageBytes),
    max_usage: sample.cgroupVersion === "1" ? omitZero(sample.memoryMaxUsageBytes) : undefined,
    stats: sorted(sample.memoryStats),
    failcnt: omitZero(sample.memoryFailcnt),
    limit: omitZero(sample.memoryLimitBytes),
  };
}

const blkioKinds = [
  "io_service_bytes_recursive",
  "io_serviced_recursive",
  "io_queue_recursive",
  "io_service_time_recursive",
  "io_wait_time_recursive",
  "io_merged_recursive",
  "io_time_recursive",
  "sectors_recursive",
];

/** v1 has all arrays, v2 only the first; what isn't there is null. */
function encodeBlkio(sample: StatsSample | undefined): JsonOut {
  const entries = blkioKinds.map((kind): [string, JsonOut] => {
    const list = (sample?.blkio ?? []).filter((each) => each.kind === kind);
    if (list.length === 0) return [kind, sample?.cgroupVersion === "1" ? [] : null];
    return [kind, list.map(({ major, minor, op, value }) => ({ major, minor, op, value }))];
  });
  return Object.fromEntries(entries);
}

function encodeNetworks(sample: StatsSample | undefined): JsonOut {
  if (sample === undefined || sample.interfaces.length === 0) return undefined;
  const entries = sample.interfaces.map((each): [string, JsonOut] => [
    each.name,
    {
      rx_bytes: each.rxBytes,
      rx_packets: each.rxPackets,
      rx_errors: each.rxErrors,
      rx_dropped: each.rxDropped,
      tx_bytes: each.txBytes,
      tx_packets: each.txPackets,
      tx_errors: each.txErrors,
      tx_dropped: each.txDropped,
    },
  ]);
  return sorted(Object.fromEntries(entries));
}
