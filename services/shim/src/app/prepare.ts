/** Prepare: the container's folder, and its stream socket, which clients may connect to from now on. */
import type { Brain, Container, ContainerState, Run } from "./container.ts";

type Prepared = Extract<ContainerState, { status: "prepared" }>;

/** Early attaches that wait for the start. */
const ioBacklog = 128;
const socketMode = 0o600;
/** An ended container's shim process only writes out what is left; one that does not end is stuck. */
const shimEndTimeoutMs = 5_000;
const sigkill = 9;

/** Runs inside the container's queue. A container that runs is prepared already. */
export async function prepare(brain: Brain, container: Container): Promise<void> {
  const { status } = container.state;
  if (status === "idle" || status === "ended") await prepareForLaunch(brain, container);
}

/** Runs inside the container's queue, for one that does not run. */
export async function prepareForLaunch(brain: Brain, container: Container): Promise<Prepared> {
  if (container.state.status === "prepared") return container.state;
  // The process removes its socket files and cgroups at its end: the next ones must come after it.
  if (container.state.status === "ended") await shimGone(brain, container.state.run);
  container.folder.create();
  const listener = brain.kernel.listenUnix(container.folder.ioSocket, socketMode, ioBacklog);
  const prepared: Prepared = { status: "prepared", listener, tickets: [] };
  container.state = prepared;
  return prepared;
}

/** Waits for the end of a shim process whose container has ended, and makes it end. */
export async function shimGone(brain: Brain, run: Run): Promise<void> {
  const stuck = setTimeout(() => {
    brain.logger.warn({ shimPid: run.record.shimPid }, "shim process does not end");
    run.shim.signal(sigkill);
  }, shimEndTimeoutMs);
  try {
    await run.shimEnded.promise;
  } finally {
    clearTimeout(stuck);
  }
}

/** Stops listening: clients that wait see the end of their connection. */
export function unprepare(brain: Brain, container: Container): void {
  if (container.state.status !== "prepared") return;
  brain.kernel.closeFd(container.state.listener);
  container.state = { status: "idle" };
}
