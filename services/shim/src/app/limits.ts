/** Pause, Resume, Update, Kill and ListPids: what is done to a container's cgroup, past its shim process. */
import { hasErrno, notFound } from "@gantry/errors";
import { parseRuntimeResources } from "@gantry/oci/runtime-spec";
import {
  type Brain,
  cgroupOf,
  containerOf,
  notRunning,
  type Run,
  runningRun,
} from "./container.ts";

/** How long a killed task may take; what is left then cannot be killed. */
const killDeadlineMs = 10_000;
/** A shim process tells of the end at once; one that does not is frozen. */
const reportTimeoutMs = 2_000;
const sigkill = 9;

/** Throws conflict also where nothing is left to freeze: the end of the run is about to be told. */
export async function pause(brain: Brain, id: string): Promise<void> {
  await onProcesses(brain, id, (cgroupPath) => brain.cgroups.freeze(cgroupPath));
}

export async function resume(brain: Brain, id: string): Promise<void> {
  await brain.cgroups.thaw(runningRun(brain, id).record.cgroupPath);
}

/** Throws not_found when it does not run, or has just ended: there are no limits to change. */
export async function update(brain: Brain, id: string, resourcesJson: Uint8Array): Promise<void> {
  const resources = parseRuntimeResources(Buffer.from(resourcesJson).toString("utf8"));
  const state = brain.containers.get(id)?.state;
  if (state?.status !== "running") throw notFound("run", id, `container ${id} is not running`);
  const { run } = state;
  try {
    await brain.cgroups.update(run.record.cgroupPath, resources);
  } catch (error) {
    if (!(await isOver(brain, run))) throw error;
    throw notFound("run", id, `container ${id} is not running`, { cause: error });
  }
}

/** Throws conflict when it does not run, or has just ended. */
export async function listPids(brain: Brain, id: string): Promise<number[]> {
  return await onProcesses(brain, id, (cgroupPath) => brain.cgroups.pids(cgroupPath));
}

/** Does something with the processes of a run, and looks afterwards whether there are any. */
async function onProcesses<T>(
  brain: Brain,
  id: string,
  act: (cgroupPath: string) => Promise<T>,
): Promise<T> {
  const run = runningRun(brain, id);
  let result: T;
  try {
    result = await act(run.record.cgroupPath);
  } catch (error) {
    if (await isOver(brain, run)) throw notRunning(id, error);
    throw error;
  }
  if (await isOver(brain, run)) throw notRunning(id);
  return result;
}

/** Between the end of the last process and our hearing of it there is nobody in the cgroup, or there is none any more. */
async function isOver(brain: Brain, run: Run): Promise<boolean> {
  return run.hasExited || (await brain.cgroups.pids(run.record.cgroupPath)).length === 0;
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
