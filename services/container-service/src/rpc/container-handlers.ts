/** gantry.container.v1.ContainerService: translation only. */
import {
  ContainerService,
  type CreateContainerRequest,
  type FilterSet,
  ListContainersResponseSchema,
} from "@gantry/proto/container";
import {
  type DataListener,
  type Handlers,
  type Implementation,
  implement,
  listOfRows,
} from "@gantry/rpc";
import { attachable, attachContainer } from "../app/attach-container.ts";
import { commitContainer } from "../app/commit-container.ts";
import { containerChanges } from "../app/container-changes.ts";
import { containerStats } from "../app/container-stats.ts";
import { topContainer } from "../app/container-top.ts";
import type { App } from "../app/context.ts";
import { type CreateRequest, createContainer } from "../app/create-container.ts";
import { keepStep } from "../app/keep-step.ts";
import { killContainer } from "../app/kill-container.ts";
import { containerSizes, listContainers, withSizes } from "../app/list-containers.ts";
import { openLogs } from "../app/open-logs.ts";
import { pauseContainer, unpauseContainer } from "../app/pause-container.ts";
import { pruneContainers } from "../app/prune-containers.ts";
import { removeContainer } from "../app/remove-container.ts";
import { renameContainer } from "../app/rename-container.ts";
import { resizeContainer } from "../app/resize-container.ts";
import { restartContainer } from "../app/restart-container.ts";
import { startContainer } from "../app/start-container.ts";
import { stopContainer } from "../app/stop-container.ts";
import { updateContainer } from "../app/update-container.ts";
import { waitContainer } from "../app/wait-container.ts";
import type { Filters } from "../domain/container-filters.ts";
import { archiveMethods } from "./archive-handlers.ts";
import { containerMessage } from "./container-message.ts";
import { containerRow } from "./container-row.ts";
import { emptyHostConfig } from "./empty-messages.ts";

export function containerService(app: App, data: DataListener): Implementation {
  return implement(ContainerService, {
    ...lifecycle(app),
    ...views(app),
    ...streams(app, data),
    ...archiveMethods(app),
  });
}

type Methods = Handlers<typeof ContainerService>;

function lifecycle(app: App): Methods {
  return {
    async settleImageUse() {
      await app.images.usersTold();
      return {};
    },
    async createContainer(request, { signal }) {
      const { id, warnings } = await createContainer(app, createRequest(request), signal);
      return { id, warnings: [...warnings] };
    },
    async startContainer({ container, secretEnv }) {
      await startContainer(app, container, secretEnv);
      return {};
    },
    async stopContainer({ container, signal, timeoutSeconds }) {
      await stopContainer(app, container, { signal, timeoutSeconds });
      return {};
    },
    async restartContainer({ container, signal, timeoutSeconds }) {
      await restartContainer(app, container, { signal, timeoutSeconds });
      return {};
    },
    async killContainer({ container, signal }) {
      await killContainer(app, container, signal);
      return {};
    },
    async pauseContainer({ container }) {
      await pauseContainer(app, container);
      return {};
    },
    async unpauseContainer({ container }) {
      await unpauseContainer(app, container);
      return {};
    },
    async renameContainer({ container, name }) {
      await renameContainer(app, container, name);
      return {};
    },
    async updateContainer({ container, resources, restartPolicy }) {
      const warnings = await updateContainer(app, container, { resources, restartPolicy });
      return { warnings: [...warnings] };
    },
    async removeContainer({ container, force, removeVolumes, removeLink }) {
      await removeContainer(app, container, { force, removeVolumes, removeLink });
      return {};
    },
    async resizeContainer({ container, height, width }) {
      await resizeContainer(app, container, { height, width });
      return {};
    },
    async pruneContainers({ filters }, { signal }) {
      const { deleted, spaceReclaimedBytes } = await pruneContainers(
        app,
        filtersOf(filters),
        signal,
      );
      return { deleted: [...deleted], spaceReclaimedBytes };
    },
    async keepBuildStep({ container, image }, { signal }) {
      await keepStep(app, container, image, signal);
      return {};
    },
    async commitContainer({ container, $typeName: _, ...request }, { signal }) {
      return { imageId: await commitContainer(app, container, request, signal) };
    },
  };
}

function createRequest(request: CreateContainerRequest): CreateRequest {
  const { name, platform, config, hostConfig, endpoints, apiVersion, buildStep } = request;
  return {
    parentLayer: buildStep?.parentLayer,
    name,
    platform,
    config,
    hostConfig: hostConfig ?? emptyHostConfig(),
    endpoints,
    apiVersion,
  };
}

function filtersOf(filters: FilterSet | undefined): Filters {
  return Object.fromEntries(
    Object.entries(filters?.filters ?? {}).map(([key, { values }]) => [key, values]),
  );
}

function views(app: App): Methods {
  return {
    async inspectContainer({ container, size }, { signal }) {
      const entry = app.registry.find(container);
      const sizes = size ? await containerSizes(app, container, signal) : undefined;
      return { container: containerMessage(app, entry, sizes) };
    },
    async listContainers({ all, limit, size, filters, buildSteps }, { signal }) {
      const options = { all, limit, filters: filtersOf(filters), buildSteps };
      const entries = await listContainers(app, options, signal);
      const rows: Uint8Array[] = [];
      if (!size) for (const entry of entries) rows.push(containerRow(app, entry, undefined));
      else {
        for await (const { entry, sizes } of withSizes(app, entries, signal)) {
          rows.push(containerRow(app, entry, sizes));
        }
      }
      return listOfRows(ListContainersResponseSchema, rows);
    },
    async topContainer({ container, psArgs }, { signal }) {
      const { titles, processes } = await topContainer(app, container, psArgs, signal);
      return { titles: [...titles], processes: processes.map((row) => ({ values: [...row] })) };
    },
    async *statsContainer({ container, stream, oneShot }, { signal }) {
      for await (const { id, name, current, previous } of containerStats(app, container, {
        stream,
        oneShot,
        signal,
      })) {
        yield {
          id,
          name,
          ...(current === undefined ? {} : { current }),
          ...(previous === undefined ? {} : { previous }),
        };
      }
    },
    async listChanges({ container }, { signal }) {
      const changes = await containerChanges(app, container, signal);
      return { changes: [...changes] };
    },
  };
}

function streams(app: App, data: DataListener): Methods {
  return {
    async *waitContainer({ container, condition }, { signal }) {
      const result = waitContainer(app, container, condition, signal);
      yield { done: false };
      const { exitCode, error } = await result;
      yield { done: true, exitCode, error };
    },
    async attachContainer({ container, stream, logs, ...options }) {
      const entry = attachable(app, container);
      const { tty } = entry.record.config;
      const history = logs
        ? await openLogs(app, data, container, historyOptions(options))
        : undefined;
      const endpoint = stream ? await attachContainer(app, entry, options) : undefined;
      return {
        tty,
        ...(endpoint === undefined ? {} : { stream: endpoint }),
        ...(history === undefined ? {} : { logs: history.endpoint }),
      };
    },
    async openLogs({ container, tail, ...options }) {
      const { endpoint, tty } = await openLogs(app, data, container, {
        ...options,
        tail: tail === undefined ? undefined : Number(tail),
      });
      return { data: endpoint, tty };
    },
  };
}

/** Everything logged so far of the streams that are attached. */
function historyOptions({ stdout, stderr }: { stdout: boolean; stderr: boolean }) {
  const none = { sinceNano: 0n, untilNano: 0n, timestamps: false, details: false, tail: undefined };
  return { ...none, follow: false, stdout, stderr };
}
