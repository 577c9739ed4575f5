/** From the runtime-spec's `linux.seccomp` to the numbers that the kernel library takes. */
import type { SeccompCondition, SeccompProfile, SeccompRule } from "./kernel.ts";

/** `linux.seccomp` of the runtime-spec, as far as a compiled program depends on it. */
export interface OciSeccomp {
  readonly defaultAction: string;
  readonly defaultErrnoRet?: number;
  readonly architectures?: readonly string[];
  readonly flags?: readonly string[];
  readonly syscalls?: readonly {
    readonly names: readonly string[];
    readonly action: string;
    readonly errnoRet?: number;
    readonly args?: readonly {
      readonly index: number;
      readonly value: number | bigint;
      readonly valueTwo?: number | bigint;
      readonly op: string;
    }[];
  }[];
}

const actions: Readonly<Record<string, number>> = {
  SCMP_ACT_KILL: 0x0000_0000,
  SCMP_ACT_KILL_THREAD: 0x0000_0000,
  SCMP_ACT_KILL_PROCESS: 0x8000_0000,
  SCMP_ACT_TRAP: 0x0003_0000,
  SCMP_ACT_ERRNO: 0x0005_0000,
  SCMP_ACT_TRACE: 0x7ff0_0000,
  SCMP_ACT_LOG: 0x7ffc_0000,
  SCMP_ACT_ALLOW: 0x7fff_0000,
};

const comparisons: Readonly<Record<string, number>> = {
  SCMP_CMP_NE: 1,
  SCMP_CMP_LT: 2,
  SCMP_CMP_LE: 3,
  SCMP_CMP_EQ: 4,
  SCMP_CMP_GE: 5,
  SCMP_CMP_GT: 6,
  SCMP_CMP_MASKED_EQ: 7,
};

const flagBits: Readonly<Record<string, number>> = {
  SECCOMP_FILTER_FLAG_TSYNC: 1,
  SECCOMP_FILTER_FLAG_LOG: 2,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW: 4,
  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: 32,
};

const eperm = 1;

function lookUp(table: Readonly<Record<string, number>>, name: string, what: string): number {
  const value = table[name];
  if (value === undefined) throw new RangeError(`seccomp: unknown ${what} ${name}`);
  return value;
}

function toAction(name: string, errno: number | undefined): number {
  const action = lookUp(actions, name, "action");
  const carriesErrno = name === "SCMP_ACT_ERRNO" || name === "SCMP_ACT_TRACE";
  return carriesErrno ? action + ((errno ?? eperm) & 0xffff) : action;
}

/** Flags of seccomp(2). A profile that names none allows speculative execution, as runc's do. */
export function seccompFlags(profile: OciSeccomp): number {
  const names = profile.flags ?? ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"];
  return names.reduce((bits, name) => bits | lookUp(flagBits, name, "flag"), 0);
}

/** Throws RangeError for a name that the specification does not have. */
export function parseSeccomp(profile: OciSeccomp): SeccompProfile {
  const rules: SeccompRule[] = [];
  for (const call of profile.syscalls ?? []) {
    const conditions: SeccompCondition[] = (call.args ?? []).map((arg) => ({
      index: arg.index,
      op: lookUp(comparisons, arg.op, "comparison"),
      value: BigInt(arg.value),
      valueTwo: BigInt(arg.valueTwo ?? 0),
    }));
    rules.push({ action: toAction(call.action, call.errnoRet), names: call.names, conditions });
  }
  return {
    defaultAction: toAction(profile.defaultAction, profile.defaultErrnoRet),
    architectures: (profile.architectures ?? []).map((name) =>
      name.replace(/^SCMP_ARCH_/, "").toLowerCase(),
    ),
    rules,
    refuseSocketcallSocket: filtersSocketByArgument(rules),
  };
}

function filtersSocketByArgument(rules: readonly SeccompRule[]): boolean {
  const filtered = rules.some(
    (rule) => rule.names.includes("socket") && rule.conditions.length > 0,
  );
  const socketcallNamed = rules.some((rule) => rule.names.includes("socketcall"));
  return filtered && !socketcallNamed;
}
