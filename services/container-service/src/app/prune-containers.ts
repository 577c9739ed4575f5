/** Prune: removes what does not run. */
import { conflict, hasKind, invalidArgument } from "@gantry/errors";
import { nowNano } from "@gantry/events";
import { type Filters, hasLabel } from "../domain/container-filters.ts";
import type { ContainerRecord } from "../domain/container-record.ts";
import { isRunning } from "../domain/container-state.ts";
import { parseUntil } from "../domain/until-time.ts";
import type { App } from "./context.ts";
import type { Entry } from "./entry.ts";
import { removeContainer } from "./remove-container.ts";

/** What went. */
export interface Pruned {
  readonly deleted: readonly string[];
  readonly spaceReclaimedBytes: bigint;
}

let busy = false;

/** Errors: conflict (another prune is at work), invalid_argument (filters), those of image-service: nothing more goes then. */
export async function pruneContainers(
  app: App,
  filters: Filters,
  signal: AbortSignal,
): Promise<Pruned> {
  if (busy) throw conflict("a prune operation is already running");
  const fits = pruneFilter(filters);
  busy = true;
  try {
    return await pruneAll(
      app,
      app.registry.list().filter(({ record }) => isPrunable(record) && fits(record)),
      signal,
    );
  } finally {
    busy = false;
  }
}

function isPrunable({ state }: ContainerRecord): boolean {
  return !isRunning(state) && state.status !== "starting" && state.status !== "removing";
}

async function pruneAll(app: App, entries: readonly Entry[], signal: AbortSignal): Promise<Pruned> {
  const deleted: string[] = [];
  let spaceReclaimedBytes = 0n;
  for (const { id } of entries) {
    if (signal.aborted) break;
    const ownBytes = await ownBytesOf(app, id, signal);
    try {
      await removeContainer(app, id, { force: false, removeVolumes: false, removeLink: false });
      deleted.push(id);
      spaceReclaimedBytes += ownBytes;
    } catch (error) {
      // Started or removed by somebody else meanwhile.
      if (!hasKind(error, "conflict") && !hasKind(error, "not_found")) throw error;
    }
  }
  const attributes = { reclaimed: String(spaceReclaimedBytes) };
  app.store.append([{ type: "container", action: "prune", actorId: "", attributes }]);
  return { deleted, spaceReclaimedBytes };
}

/** What a container has written; 0 when its files are gone, which must not keep it from being removed. */
async function ownBytesOf(app: App, id: string, signal: AbortSignal): Promise<bigint> {
  try {
    return (await app.images.usage(id, signal)).ownBytes;
  } catch (error) {
    if (hasKind(error, "not_found")) return 0n;
    throw error;
  }
}

function pruneFilter(filters: Filters): (record: ContainerRecord) => boolean {
  for (const key of Object.keys(filters)) {
    if (!["label", "label!", "until"].includes(key))
      throw invalidArgument(`invalid filter '${key}'`);
  }
  const labels = filters["label"] ?? [];
  const without = filters["label!"] ?? [];
  const until = filters["until"] ?? [];
  if (until.length > 1) throw invalidArgument("more than one until filter specified");
  const before = until[0] === undefined ? undefined : parseUntil(until[0], nowNano());
  return ({ config, createdNano }) =>
    labels.every((label) => hasLabel(config.labels, label)) &&
    !without.some((label) => hasLabel(config.labels, label)) &&
    (before === undefined || createdNano < before);
}
