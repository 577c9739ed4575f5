/** Removes a volume, or those that nobody uses. */
import { conflict, hasErrno, internal, toEngineError } from "@gantry/errors";
import type { VolumeRecord } from "../../domain/volume/records.ts";
import { isPrunable, type VolumeFilter } from "../../domain/volume/volume-filters.ts";
import { volumeMount } from "../../domain/volume/volume-rules.ts";
import type { VolumeContext } from "./context.ts";
import { volumeEvent } from "./create-volume.ts";

/** Errors: not_found, conflict (in use). `force`: a missing volume is no error. */
export async function removeVolume(
  context: VolumeContext,
  name: string,
  force: boolean,
): Promise<void> {
  await context.turns.take(name, async () => {
    if (force && context.registry.volume(name) === undefined) return;
    const volume = context.registry.get(name);
    const users = context.registry.usersOf(name);
    if (users.length > 0) {
      throw conflict(`remove ${name}: volume is in use - [${users.join(", ")}]`);
    }
    await drop(context, volume);
  });
}

/** Removes a volume, whatever it is, unless it is in use, or gone already and perhaps made anew. Returns whether it did. */
export function dropUnused(context: VolumeContext, volume: VolumeRecord): Promise<boolean> {
  const { registry, turns } = context;
  return turns.take(volume.name, async () => {
    if (registry.volume(volume.name) !== volume) return false;
    if (registry.usersOf(volume.name).length > 0) return false;
    await drop(context, volume);
    return true;
  });
}

async function drop(context: VolumeContext, volume: VolumeRecord): Promise<void> {
  const { registry, host, store } = context;
  const { name } = volume;
  const change = registry.remove(name);
  const { folders, finish } = host.removing(name);
  try {
    if (volumeMount(volume.options) !== undefined) await host.unmount(name);
    await store.commit([change], [volumeEvent(volume, "destroy")], { folders });
  } catch (error) {
    registry.put(volume);
    throw aboutMounted(host.mountpoint(name), name, error);
  }
  finish();
}

/** In dockerd's words, where something is mounted on the files; any other error as it is. */
function aboutMounted(files: string, name: string, error: unknown): unknown {
  if (!hasErrno(toEngineError(error).cause, "EBUSY")) return error;
  return internal(
    `remove ${name}: error removing volume path '${files}': unlinkat ${files}: device or resource busy`,
    { cause: error },
  );
}

/** Somebody may have begun to use it while it was measured. One that cannot be removed stops no other. */
async function pruneOne(context: VolumeContext, volume: VolumeRecord): Promise<boolean> {
  try {
    return await dropUnused(context, volume);
  } catch (error) {
    context.logger.warn({ err: error, volume: volume.name }, "volume not pruned");
    return false;
  }
}

/** What a prune has done. */
export interface PrunedVolumes {
  readonly deleted: string[];
  readonly spaceReclaimedBytes: bigint;
}

/** `all`: named volumes, too. Volumes with driver options are never pruned. */
export async function pruneVolumes(
  context: VolumeContext,
  filter: VolumeFilter,
  all: boolean,
  signal: AbortSignal,
): Promise<PrunedVolumes> {
  const deleted: string[] = [];
  let spaceReclaimedBytes = 0n;
  for (const volume of context.registry.volumes()) {
    signal.throwIfAborted();
    if (!isPrunable(volume, filter, all)) continue;
    if (context.registry.usersOf(volume.name).length > 0) continue;
    const sizeBytes = await context.host.sizeBytes(volume.name, signal);
    if (!(await pruneOne(context, volume))) continue;
    deleted.push(volume.name);
    spaceReclaimedBytes += sizeBytes;
  }
  const reclaimed = String(spaceReclaimedBytes);
  await context.store.commit(
    [],
    [{ type: "volume", action: "prune", actorId: "", attributes: { reclaimed } }],
  );
  return { deleted, spaceReclaimedBytes };
}
