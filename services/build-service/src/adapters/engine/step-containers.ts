/** The StepContainers port over container-service. */
import type { Socket } from "node:net";
import { internal } from "@gantry/errors";
import type { Logger } from "@gantry/logging";
import { ContainerService } from "@gantry/proto/container";
import { type Channel, connectData, type ServiceClient } from "@gantry/rpc";
import type { LeftContainers, StepContainers, StepRun } from "../../ports/containers.ts";
import { createRequest, declareRequest } from "./container-requests.ts";
import { readFrames } from "./frames.ts";

export function openStepContainers(channel: Channel, logger: Logger): StepContainers {
  const client = channel.client(ContainerService);
  const remove = async (id: string): Promise<void> => {
    await client.removeContainer({ container: id, force: true, removeVolumes: true });
  };
  const going = new Set<Promise<void>>();
  const left = new Set<string>();
  const take = (id: string): Promise<void> => {
    const gone = remove(id)
      .catch((error: unknown) => {
        logger.error({ err: error, container: id }, "container of a step is left");
      })
      .finally(() => going.delete(gone));
    going.add(gone);
    return gone;
  };
  return {
    async run(container, hooks, signal) {
      const { id } = await client.createContainer(createRequest(container), { signal });
      let exitCode: number | undefined;
      try {
        hooks.onStart(id);
        const run = await runToEnd(
          client,
          { id, secretEnv: container.secretEnv },
          hooks.onOutput,
          signal,
        );
        await hooks.finish(id, run);
        ({ exitCode } = run);
        return run;
      } finally {
        // Also after an abort: nothing is left. The next step need not wait for it.
        if (exitCode !== undefined && !signal.aborted && isToBeLeft(container.leave, exitCode)) {
          left.add(id);
        } else {
          const gone = take(id);
          if (exitCode !== 0) await gone;
        }
      }
    },
    async keep(id, imageId) {
      await client.keepBuildStep({ container: id, image: imageId });
      left.delete(id);
    },
    async declare(container, signal) {
      const { id } = await client.createContainer(declareRequest(container), { signal });
      return id;
    },
    async discard(id) {
      if (left.delete(id)) await take(id);
    },
    async settled() {
      await Promise.all(going);
    },
    async removeLeftovers() {
      const { containers } = await client.listContainers({ all: true, buildSteps: true });
      for (const { id } of containers) {
        await remove(id).catch((error: unknown) => {
          logger.warn({ err: error, container: id }, "container of a step is left");
        });
      }
    },
  };
}

function isToBeLeft(leave: LeftContainers, exitCode: number): boolean {
  return leave === "all" || (leave === "failed" && exitCode !== 0);
}

async function runToEnd(
  client: ServiceClient<typeof ContainerService>,
  { id, secretEnv }: { readonly id: string; readonly secretEnv: readonly string[] },
  onOutput: Parameters<typeof readFrames>[1],
  signal: AbortSignal,
): Promise<StepRun> {
  const waiting = beginWait(client, id, signal);
  // It is awaited when there is something to attach to; a failure before that is told first.
  waiting.catch(() => undefined);
  const socket = await attach(client, id, signal);
  const kill = (): void => {
    // The container is removed by force in any case.
    void client.killContainer({ container: id, signal: "SIGKILL" }).catch(() => undefined);
    socket.destroy();
  };
  signal.addEventListener("abort", kill, { once: true });
  try {
    const { ended } = await waiting;
    await client.startContainer({ container: id, secretEnv: [...secretEnv] }, { signal });
    await readFrames(socket, onOutput);
    const exitCode = await ended;
    signal.throwIfAborted();
    if (exitCode === 0) return { exitCode, oomKilled: false };
    const { container } = await client.inspectContainer({ container: id }, { signal });
    return { exitCode, oomKilled: container?.state?.oomKilled ?? false };
  } finally {
    signal.removeEventListener("abort", kill);
    socket.destroy();
  }
}

async function attach(
  client: ServiceClient<typeof ContainerService>,
  container: string,
  signal: AbortSignal,
): Promise<Socket> {
  const request = { container, stdout: true, stderr: true, stream: true };
  const { stream } = await client.attachContainer(request, { signal });
  if (stream === undefined) throw internal("no stream to attach to");
  const socket = await connectData(stream, { signal });
  // Before anybody reads, the reason is told by another call: a container that could not be started.
  socket.on("error", () => undefined);
  return socket;
}

/** Resolves when the wait is registered, so that no end is missed. */
async function beginWait(
  client: ServiceClient<typeof ContainerService>,
  container: string,
  signal: AbortSignal,
): Promise<{ readonly ended: Promise<number> }> {
  const request = { container, condition: "next-exit" };
  const answers = client.waitContainer(request, { signal })[Symbol.asyncIterator]();
  await answers.next();
  const last = async (): Promise<number> => {
    const next = await answers.next();
    if (next.done === true) throw internal("the wait for a step ended without its end");
    return next.value.exitCode;
  };
  const ended = last();
  // It is awaited when the output has ended; a failure before that is told then.
  ended.catch(() => undefined);
  return { ended };
}
