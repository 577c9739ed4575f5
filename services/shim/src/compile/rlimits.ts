/** Resource limits. */
import { invalidArgument } from "@gantry/errors";
import type { RuntimeRlimit } from "@gantry/oci/runtime-spec";
import type { RlimitPlan } from "./plan-types.ts";

/** RLIMIT_* numbers, the same on x86-64 and arm64. */
const resources: Readonly<Record<string, number>> = {
  RLIMIT_CPU: 0,
  RLIMIT_FSIZE: 1,
  RLIMIT_DATA: 2,
  RLIMIT_STACK: 3,
  RLIMIT_CORE: 4,
  RLIMIT_RSS: 5,
  RLIMIT_NPROC: 6,
  RLIMIT_NOFILE: 7,
  RLIMIT_MEMLOCK: 8,
  RLIMIT_AS: 9,
  RLIMIT_LOCKS: 10,
  RLIMIT_SIGPENDING: 11,
  RLIMIT_MSGQUEUE: 12,
  RLIMIT_NICE: 13,
  RLIMIT_RTPRIO: 14,
  RLIMIT_RTTIME: 15,
};

const infinity = (1n << 64n) - 1n;

/** -1 and everything too large mean no limit, as RLIM_INFINITY does. */
function limit(value: number | bigint): bigint {
  const exact = BigInt(value);
  return exact < 0n || exact > infinity ? infinity : exact;
}

export function compileRlimits(rlimits: readonly RuntimeRlimit[] = []): RlimitPlan[] {
  const seen = new Set<number>();
  return rlimits.map(({ type, soft, hard }) => {
    const resource = resources[type];
    if (resource === undefined) throw invalidArgument(`unknown rlimit ${type}`);
    if (seen.has(resource)) throw invalidArgument(`rlimit ${type} is given twice`);
    seen.add(resource);
    const plan = { resource, soft: limit(soft), hard: limit(hard) };
    if (plan.soft > plan.hard)
      throw invalidArgument(`rlimit ${type}: soft limit is above the hard limit`);
    return plan;
  });
}
