/** Events of a shim process, and the end of its run: told once, whatever happened. */
import { setTimeout as pause } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { hasErrno } from "@gantry/errors";
import { ExecExitedSchema, type Exited, ExitedSchema, type ShimMessage } from "@gantry/proto/shim";
import type { ExitRecord } from "../ports.ts";
import { type Brain, type Container, publish, type Run } from "./container.ts";

/** What its cgroup may take to die after a killed shim process. */
export const killDeadlineMs = 10_000;
/** The kernel has the last messages of a dead process ready; only a stuck loop of ours delays them. */
const lastMessagesMs = 1_000;
export const sigkill = 9;

/** Sees to it that the end of the shim process is the end of the run; call once per run. */
export function watchShim(brain: Brain, container: Container, run: Run): void {
  void run.shim.ended
    .then(() => shimEnded(brain, container, run))
    .catch((error: unknown) => {
      brain.logger.error(
        { err: error, container: container.id },
        "clean-up after shim process failed",
      );
    })
    .finally(() => {
      run.shimEnded.resolve();
    });
}

/** An event of the connection, except `started` and `startFailed`, which the launch takes. */
export function handleEvent(
  brain: Brain,
  container: Container,
  run: Run,
  message: ShimMessage["message"],
): void {
  switch (message.case) {
    case "exited":
      finish(brain, container, run, message.value);
      return;
    case "warning":
      brain.logger.warn({ container: container.id }, message.value.text);
      return;
    case "execStarted":
      run.execs.add(message.value.execId);
      break;
    case "execExited":
      run.execs.delete(message.value.execId);
      break;
    default:
      break;
  }
  publish(brain, container.id, run, message);
}

/** Whether the first process is known. */
export function hasBegun({ launched }: Run): boolean {
  return launched !== undefined && launched.pid !== 0;
}

/** Tells how the first process ended, unless that was told already. */
export function finish(brain: Brain, container: Container, run: Run, exited: Exited): void {
  if (run.hasExited) return;
  run.hasExited = true;
  if (container.state.status === "running" && container.state.run === run) {
    container.state = { status: "ended", run };
  }
  run.init?.close();
  run.init = undefined;
  publish(brain, container.id, run, { case: "exited", value: exited });
  run.exited.resolve(exited);
}

async function shimEnded(brain: Brain, container: Container, run: Run): Promise<void> {
  await Promise.race([run.link?.ended, pause(lastMessagesMs, undefined, { ref: false })]);
  if (!run.hasExited) await findOutEnd(brain, container, run);
  putAway(run);
}

/** What the process of this very run wrote, if its program has begun. */
export async function recordOfRun(
  brain: Brain,
  { record: { exitRecordPath, nonce } }: Pick<Run, "record">,
): Promise<ExitRecord | undefined> {
  const record = await brain.exitRecords.read(exitRecordPath);
  return record?.nonce === nonce ? record : undefined;
}

/** The process ended without a word: its record says how, or else it was killed, and its container with it. */
async function findOutEnd(brain: Brain, container: Container, run: Run): Promise<void> {
  const record = await recordOfRun(brain, run);
  if (record?.exited !== undefined) {
    finish(brain, container, run, record.exited);
    return;
  }
  if (record === undefined && !hasBegun(run)) {
    // An adopted launch whose start failed: there was no run, so it has no end.
    run.hasExited = true;
    container.state = { status: "idle" };
    await cleanUpKilled(brain, run);
    return;
  }
  brain.logger.warn(
    { container: container.id, shimPid: run.record.shimPid },
    "shim process was killed",
  );
  await cleanUpKilled(brain, run);
  const timeNano = nowNano();
  for (const execId of run.execs) {
    const value = create(ExecExitedSchema, {
      execId,
      exitCode: 128 + sigkill,
      signal: sigkill,
      timeNano,
    });
    handleEvent(brain, container, run, { case: "execExited", value });
  }
  finish(brain, container, run, killedExit());
}

/** How a container ended whose shim process was killed. */
export function killedExit(): Exited {
  return create(ExitedSchema, { exitCode: 128 + sigkill, signal: sigkill, timeNano: nowNano() });
}

function nowNano(): bigint {
  return BigInt(Date.now()) * 1_000_000n;
}

/** What a killed shim process cannot put away itself. Its mounts died with their namespace. */
export async function cleanUpKilled(brain: Brain, run: Pick<Run, "record">): Promise<void> {
  const { cgroupPath, hostLinks } = run.record;
  const unkillable = await brain.cgroups.kill(cgroupPath, killDeadlineMs);
  if (unkillable.length > 0) {
    brain.logger.error({ cgroup: cgroupPath, pids: unkillable }, "tasks cannot be killed");
  }
  await brain.cgroups.remove(cgroupPath);
  await Promise.all(hostLinks.map((name) => removeLink(brain, name)));
}

/** A veth goes with its namespace, but only when the kernel gets to it. */
async function removeLink(brain: Brain, name: string): Promise<void> {
  try {
    await brain.kernel.deleteLink(name);
  } catch (error) {
    if (!hasErrno(error, "ENODEV")) throw error;
  }
}

/** Closes what the run holds. */
export function putAway(run: Run): void {
  run.link?.close();
  run.init?.close();
  run.shim.close();
  run.link = undefined;
  run.init = undefined;
}
