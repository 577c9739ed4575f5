/** Pause, Resume, Update, Kill and ListPids: what is done to a container's cgroup, past its shim process. */
import { hasErrno, notFound } from "@gantry/errors";
import { parseRuntimeResources } from "@gantry/oci/runtime-spec";
import { type Brain, cgroupOf, containerOf, runningRun } from "./container.ts";

/** How long a killed task may take; what is left then cannot be killed. */
const killDeadlineMs = 10_000;
/** A shim process tells of the end at once; one that does not is frozen. */
const reportTimeoutMs = 2_000;
const sigkill = 9;

export async function pause(brain: Brain, id: string): Promise<void> {
  await brain.cgroups.freeze(runningRun(brain, id).record.cgroupPath);
}

export async function resume(brain: Brain, id: string): Promise<void> {
  await brain.cgroups.thaw(runningRun(brain, id).record.cgroupPath);
}

export async function update(brain: Brain, id: string, resourcesJson: Uint8Array): Promise<void> {
  const resources = parseRuntimeResources(Buffer.from(resourcesJson).toString("utf8"));
  await brain.cgroups.update(runningRun(brain, id).record.cgroupPath, resources);
}

export async function listPids(brain: Brain, id: string): Promise<number[]> {
  return await brain.cgroups.pids(runningRun(brain, id).record.cgroupPath);
}

/** Returns what could not be killed. Afterwards the end has been told, also for a frozen shim process. */
export async function kill(brain: Brain, id: string): Promise<number[]> {
  const container = containerOf(brain, id);
  const left = await brain.cgroups.kill(cgroupOf(brain, container), killDeadlineMs);
  const { state } = container;
  // The launch fails then, and puts away what there is; the process itself may be frozen.
  if (state.status === "launching") state.run?.shim.signal(sigkill);
  if (left.length > 0 || state.status !== "running") return left;
  const { run } = state;
  const silent = setTimeout(() => {
    brain.logger.warn(
      { container: id, shimPid: run.record.shimPid },
      "shim process does not tell of the end",
    );
    run.shim.signal(sigkill);
  }, reportTimeoutMs);
  try {
    // One that never began has no end to tell of.
    await Promise.race([run.exited.promise, run.shimEnded.promise]);
  } finally {
    clearTimeout(silent);
  }
  return left;
}

/** The PID to read /proc of; throws not_found when the first process is gone. */
export function initPid(brain: Brain, id: string): number {
  const pid = runningRun(brain, id).launched?.pid ?? 0;
  if (pid === 0) throw notFound("container", id, `container ${id} has no process`);
  return pid;
}

/** Whether a failed read means that the process has ended. */
export function isProcessGone(error: unknown): boolean {
  return hasErrno(error, "ENOENT") || hasErrno(error, "ESRCH");
}
