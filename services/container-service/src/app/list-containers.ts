/** List: which containers, newest first, and with sizes when asked for. */
import { hasKind, resolveKind } from "@gantry/errors";
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
import { readFiles } from "./read-files.ts";

/** Which ones. */
export interface ListOptions {
  readonly all: boolean;
  /** 0 = no limit. */
  readonly limit: number;
  readonly filters: Filters;
  /** The containers of build steps instead of all others. */
  readonly buildSteps: boolean;
}

export async function listContainers(
  app: App,
  options: ListOptions,
  signal: AbortSignal,
): Promise<Entry[]> {
  const families = await imageFamilies(app, options.filters, signal);
  const fits = compileFilters(options.filters, filterContext(app, families));
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

type ImageFamilies = ReadonlyMap<string, ReadonlySet<string>>;

/** The images that values of `ancestor` mean. Without image-service containers are found by their own records. */
async function imageFamilies(
  app: App,
  filters: Filters,
  signal: AbortSignal,
): Promise<ImageFamilies> {
  const families = new Map<string, ReadonlySet<string>>();
  for (const value of filters["ancestor"] ?? []) {
    try {
      families.set(value, await app.images.derivedIds(value, signal));
    } catch (error) {
      if (signal.aborted || resolveKind(error) !== "unavailable") throw error;
      app.logger.warn({ err: error, value }, "images of a filter are not looked up");
    }
  }
  return families;
}

function filterContext(app: App, families: ImageFamilies): FilterContext {
  return {
    health: (id) => app.registry.byId(id)?.health?.status ?? "none",
    isOnNetwork: (id, reference) => app.networking.isOnNetwork(id, reference),
    mounts: (id, name) => app.volumes.mounts(id, name),
    published: (id) =>
      app.networking.settings(id).ports.flatMap(({ port, bindings }) => {
        const protocol = port.split("/")[1] ?? "tcp";
        return bindings.map(({ hostPort }) => `${hostPort}/${protocol}`);
      }),
    exposed: (id) => app.networking.settings(id).ports.map(({ port }) => port),
    createdNano: (reference) => app.registry.find(reference).record.createdNano,
    ancestors: (value) => families.get(value),
  };
}

/** Sizes of a container's own changes and of its whole tree. Errors: not_found. */
export function containerSizes(
  app: App,
  reference: string,
  signal: AbortSignal,
): Promise<SnapshotUsage> {
  return readFiles(app, reference, ({ id }) => app.images.usage(id, signal));
}

/** The containers that are still there when their sizes are known. */
export async function* withSizes(
  app: App,
  entries: readonly Entry[],
  signal: AbortSignal,
): AsyncGenerator<{ readonly entry: Entry; readonly sizes: SnapshotUsage }> {
  for (const entry of entries) {
    try {
      yield { entry, sizes: await containerSizes(app, entry.id, signal) };
    } catch (error) {
      if (!hasKind(error, "not_found") || app.registry.byId(entry.id) === entry) throw error;
    }
  }
}
