/** gantry.container.v1.ExecService: translation only. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type ExecSchema, ExecService } from "@gantry/proto/container";
import { type Implementation, implement } from "@gantry/rpc";
import type { App } from "../app/context.ts";
import { createExec } from "../app/create-exec.ts";
import { resizeExec } from "../app/resize-exec.ts";
import { startExec } from "../app/start-exec.ts";
import type { ExecRecord } from "../domain/exec-record.ts";

export function execService(app: App): Implementation {
  return implement(ExecService, {
    async createExec({ container, $typeName: _, ...options }, { signal }) {
      const exec = await createExec(app, container, options, signal);
      return { execId: exec.record.id };
    },
    async startExec({ execId, $typeName: _, ...options }) {
      const stream = await startExec(app, execId, options);
      return stream === undefined ? {} : { stream };
    },
    async resizeExec({ execId, height, width }) {
      await resizeExec(app, execId, { height, width });
      return {};
    },
    inspectExec({ execId }) {
      return Promise.resolve({ exec: execMessage(app, app.execs.find(execId).record) });
    },
    async waitExec({ execId, orDetached }, { signal }) {
      const exec = app.execs.find(execId);
      const aborted = Promise.withResolvers<never>();
      const abort = (): void => {
        aborted.reject(signal.reason as Error);
      };
      signal.addEventListener("abort", abort, { once: true });
      try {
        const exitCode = await Promise.race([
          exec.ended.promise,
          ...(orDetached ? [exec.detached.promise.then(() => 0)] : []),
          aborted.promise,
        ]);
        return { exitCode };
      } finally {
        signal.removeEventListener("abort", abort);
      }
    },
  });
}

function execMessage(app: App, record: ExecRecord): MessageInitShape<typeof ExecSchema> {
  const { state, cmd } = record;
  const [entrypoint = "", ...args] = cmd;
  return {
    id: record.id,
    running: state.status === "running" || state.status === "starting",
    ...(state.status === "ended" ? { exitCode: state.exitCode } : {}),
    tty: record.tty,
    entrypoint,
    arguments: args,
    privileged: record.privileged,
    user: record.user || (app.registry.byId(record.containerId)?.record.config.user ?? ""),
    openStdin: record.attachStdin,
    openStdout: record.attachStdout,
    openStderr: record.attachStderr,
    containerId: record.containerId,
    detachKeys: Buffer.from(record.detachKeys, "hex"),
    pid: state.status === "running" || state.status === "ended" ? state.pid : 0,
  };
}
