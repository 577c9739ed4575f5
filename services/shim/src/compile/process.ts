/** The process to execute: the first one of a container, or an exec. */
import { invalidArgument } from "@gantry/errors";
import type { RuntimeProcess } from "@gantry/oci/runtime-spec";
import { compileCapabilities } from "./capabilities.ts";
import type { ProcessPlan } from "./plan-types.ts";
import { compileRlimits } from "./rlimits.ts";

/** What a process depends on besides its `process` object. */
export interface ProcessContext {
  /** Capabilities that we have ourselves. */
  readonly capabilityBound: bigint;
  /** Compiled seccomp program and flags, or undefined for none. */
  readonly seccomp: { readonly program: Uint8Array; readonly flags: number } | undefined;
  /** Docker's user string, or empty for the numeric user of the object. */
  readonly user: string;
  /** Further groups by name or number, besides the object's. */
  readonly additionalGroups: readonly string[];
}

export function compileProcess(process: RuntimeProcess, context: ProcessContext): ProcessPlan {
  const args = process.args ?? [];
  if (args.length === 0) throw invalidArgument("process has no arguments");
  refuseNul(process);
  return {
    args: [...args],
    env: [...(process.env ?? [])],
    cwd: process.cwd,
    ...compileUser(process.user, context),
    capabilities: compileCapabilities(process.capabilities, context.capabilityBound),
    noNewPrivileges: process.noNewPrivileges ?? false,
    seccompProgram: context.seccomp?.program ?? new Uint8Array(),
    seccompFlags: context.seccomp?.flags ?? 0,
    rlimits: compileRlimits(process.rlimits),
    oomScoreAdj: process.oomScoreAdj ?? 0,
    setOomScoreAdj: process.oomScoreAdj !== undefined,
    terminal: process.terminal ?? false,
    consoleHeight: process.consoleSize?.height ?? 0,
    consoleWidth: process.consoleSize?.width ?? 0,
    apparmorProfile: process.apparmorProfile ?? "",
    selinuxLabel: process.selinuxLabel ?? "",
  };
}

/** The kernel would cut a string there and run something else than was asked for. */
function refuseNul(process: RuntimeProcess): void {
  for (const text of [process.cwd, ...(process.args ?? []), ...(process.env ?? [])]) {
    if (text.includes("\0"))
      throw invalidArgument("process arguments and environment must not contain NUL");
  }
}

type User = RuntimeProcess["user"];

function compileUser(user: User, context: ProcessContext): Partial<ProcessPlan> {
  const groups = [...(user?.additionalGids ?? []).map(String), ...context.additionalGroups];
  return {
    user: context.user === "" ? numericUser(user) : context.user,
    additionalGroups: groups,
    umask: user?.umask ?? 0,
    setUmask: user?.umask !== undefined,
  };
}

/**
 * The numeric user as a string. Root with root's group and none besides is the empty string, which
 * stands for Docker's default user: root with the groups that the image gives it.
 */
function numericUser(user: User): string {
  const uid = user?.uid ?? 0;
  const gid = user?.gid ?? 0;
  if (uid === 0 && gid === 0 && (user?.additionalGids ?? []).length === 0) return "";
  return `${String(uid)}:${String(gid)}`;
}
