/** List: which containers, newest first, and with sizes when asked for. */
import { invalidArgument, isEngineError } from "@gantry/errors";
import {
  compileFilters,
  type FilterContext,
  type Filters,
  meansAll,
} from "../domain/container-filters.ts";
import { isRunning } from "../domain/container-state.ts";
import type { SnapshotUsage } from "../ports/images.ts";
import type { App } from "./context.ts";
import type { Entry } from "./entry.ts";

/** Which ones. */
export interface ListOptions {
  readonly all: boolean;
  /** 0 = no limit. */
  readonly limit: number;
  readonly filters: Filters;
  /** The containers of build steps instead of all others. */
  readonly buildSteps: boolean;
}

export function listContainers(app: App, options: ListOptions): Entry[] {
  const fits = compileFilters(options.filters, filterContext(app));
  const all = options.all || options.limit > 0 || meansAll(options.filters);
  const { registry } = app;
  const candidates = options.buildSteps
    ? registry.all().filter(({ record }) => record.buildStep)
    : registry.list();
  const found = candidates.filter(
    (entry) => (all || isRunning(entry.record.state)) && fits(entry.record),
  );
  return options.limit > 0 ? found.slice(0, options.limit) : found;
}

function filterContext(app: App): FilterContext {
  return {
    health: (id) => app.registry.byId(id)?.health?.status ?? "none",
    isOnNetwork: (id, reference) => app.networking.isOnNetwork(id, reference),
    mounts: (id, name) => app.volumes.mounts(id, name),
    published: (id) =>
      app.networking
        .settings(id)
        .ports.filter(({ bindings }) => bindings.length > 0)
        .flatMap(({ port, bindings }) => {
          const protocol = port.split("/")[1] ?? "tcp";
          return [port, ...bindings.map(({ hostPort }) => `${hostPort}/${protocol}`)];
        }),
    createdNano: (reference) => {
      try {
        return app.registry.find(reference).record.createdNano;
      } catch (error) {
        if (isEngineError(error)) throw invalidArgument(error.message, { cause: error });
        throw error;
      }
    },
    ancestors: () => undefined,
  };
}

/** Sizes of a container's own changes and of its whole tree. */
export function containerSizes(app: App, id: string, signal: AbortSignal): Promise<SnapshotUsage> {
  return app.images.usage(id, signal);
}
