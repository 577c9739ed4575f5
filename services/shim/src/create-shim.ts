/** Puts the brain together; the loaded form of ShimService. */
import {
  create,
  type DescMessage,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import { loadKernel, nativeArtifact } from "@gantry/native";
import * as proto from "@gantry/proto/shim";
import { openCgroups } from "./adapters/cgroup/tree.ts";
import { openControlLink } from "./adapters/control-link.ts";
import { exitRecordFiles } from "./adapters/exit-record.ts";
import { readMachine } from "./adapters/machine.ts";
import { openProcesses } from "./adapters/process-handle.ts";
import { runFolder } from "./adapters/run-folder.ts";
import { openSeccompCache } from "./adapters/seccomp-cache.ts";
import type { ShimApi } from "./api.ts";
import { adopt } from "./app/adopt.ts";
import { type Brain, containerOf } from "./app/container.ts";
import { deleteContainer } from "./app/delete.ts";
import { createEventHub } from "./app/events.ts";
import { launch } from "./app/launch.ts";
import { letGo } from "./app/let-go.ts";
import { kill, listPids, pause, resume, update } from "./app/limits.ts";
import { updateNames } from "./app/names.ts";
import { prepare } from "./app/prepare.ts";
import { exec, issueTicket, resize, signalProcess } from "./app/processes.ts";
import { getStats } from "./app/stats.ts";
import type { ShimOptions } from "./options.ts";

/** Makes a brain. Nothing is started or adopted by itself. Throws when the addon was not built. */
export function createShim(options: ShimOptions): ShimApi {
  return facade(openBrain(options));
}

function openBrain(options: ShimOptions): Brain {
  const kernel = options.kernel ?? loadKernel();
  const machine = readMachine();
  const { logger } = options;
  let program: number | undefined;
  return {
    kernel,
    machine,
    logger,
    cgroups: openCgroups(options.cgroupLayout ?? machine.layout, logger),
    seccomp: openSeccompCache({ kernel, cacheDir: options.cacheDir, logger }),
    processes: openProcesses(kernel),
    exitRecords: exitRecordFiles,
    openLink: openControlLink,
    runFolder: (id) => runFolder(options.runRoot, id),
    events: createEventHub(),
    step: options.onLaunchStep ?? (() => undefined),
    containers: new Map(),
    cgroupParent: options.cgroupParent ?? "gantry",
    natsUrlPath: options.natsUrlPath ?? "",
    program: () => {
      program ??= kernel.sealExecutable(options.shimProgramPath ?? nativeArtifact("shim"));
      return program;
    },
  };
}

/** Makes the whole message that a handler wants of what a caller gave. */
function full<S extends DescMessage>(schema: S, request: MessageInitShape<S>): MessageShape<S> {
  return create(schema, request);
}

function facade(brain: Brain): ShimApi {
  return {
    async expect() {
      brain.cgroups.expectEntry();
      return await Promise.resolve(create(proto.ExpectResponseSchema));
    },
    async prepare(request) {
      const container = containerOf(brain, full(proto.PrepareRequestSchema, request).id);
      await container.serialize(() => prepare(brain, container));
      return create(proto.PrepareResponseSchema, { ioSocketPath: container.folder.ioSocket });
    },
    launch: (request, call) =>
      launch(brain, full(proto.LaunchRequestSchema, request), call?.signal),
    adopt: (request) => adopt(brain, full(proto.AdoptRequestSchema, request)),
    async signalProcess(request) {
      await signalProcess(brain, full(proto.SignalProcessRequestSchema, request));
      return create(proto.SignalProcessResponseSchema);
    },
    async kill(request) {
      const unkillablePids = await kill(brain, full(proto.KillRequestSchema, request).id);
      return create(proto.KillResponseSchema, { unkillablePids });
    },
    async resizeProcess(request) {
      await resize(brain, full(proto.ResizeProcessRequestSchema, request));
      return create(proto.ResizeProcessResponseSchema);
    },
    issueTicket: (request) => issueTicket(brain, full(proto.IssueTicketRequestSchema, request)),
    execProcess: (request) => exec(brain, full(proto.ExecProcessRequestSchema, request)),
    async updateNames(request) {
      await updateNames(brain, full(proto.UpdateNamesRequestSchema, request));
      return create(proto.UpdateNamesResponseSchema);
    },
    async pause(request) {
      await pause(brain, full(proto.PauseRequestSchema, request).id);
      return create(proto.PauseResponseSchema);
    },
    async resume(request) {
      await resume(brain, full(proto.ResumeRequestSchema, request).id);
      return create(proto.ResumeResponseSchema);
    },
    async update(request) {
      const { id, resourcesJson } = full(proto.UpdateRequestSchema, request);
      await update(brain, id, resourcesJson);
      return create(proto.UpdateResponseSchema);
    },
    getStats: (request) => getStats(brain, full(proto.GetStatsRequestSchema, request).id),
    async listPids(request) {
      const pids = await listPids(brain, full(proto.ListPidsRequestSchema, request).id);
      return create(proto.ListPidsResponseSchema, { pids });
    },
    async delete(request) {
      await deleteContainer(brain, full(proto.DeleteRequestSchema, request).id);
      return create(proto.DeleteResponseSchema);
    },
    watch: (_request, call) => brain.events.subscribe(call?.signal),
    close: () => letGo(brain),
  };
}
