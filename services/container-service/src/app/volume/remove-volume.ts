/** Removes a volume, or those that nobody uses. */
import { conflict } from "@gantry/errors";
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
  if (force && context.registry.volume(name) === undefined) return;
  context.registry.get(name);
  const users = context.registry.usersOf(name);
  if (users.length > 0) {
    throw conflict(`remove ${name}: volume is in use - [${users.join(", ")}]`);
  }
  await dropVolume(context, name);
}

/** Removes a volume that nobody uses, whatever it is. */
export async function dropVolume(context: VolumeContext, name: string): Promise<void> {
  const { registry, host, store } = context;
  const volume = registry.get(name);
  const change = registry.remove(name);
  const { folders, finish } = host.removing(name);
  try {
    if (volumeMount(volume.options) !== undefined) await host.unmount(name);
    await store.commit([change], [volumeEvent(volume, "destroy")], { folders });
  } catch (error) {
    if (registry.volume(name) === undefined) registry.put(volume);
    throw error;
  }
  finish();
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
    // Somebody may have begun to use it while it was measured.
    if (context.registry.volume(volume.name) === undefined) continue;
    if (context.registry.usersOf(volume.name).length > 0) continue;
    await dropVolume(context, volume.name);
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
