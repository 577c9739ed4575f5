/** A new container's mounts: checked, their volumes made and filled. */
import { hasKind, invalidArgument, toEngineError } from "@gantry/errors";
import { isBelow } from "../../domain/api-version.ts";
import type { MountRules, MountWish } from "../../domain/volume/mount-wish.ts";
import type { MountRecord, VolumeRecord } from "../../domain/volume/records.ts";
import { volumeMount } from "../../domain/volume/volume-rules.ts";
import type { FillSource } from "../../ports/volume-host.ts";
import type {
  AttachedMounts,
  ImageRootfs,
  MountedContainer,
  ShownImage,
} from "../../ports/volumes.ts";
import type { VolumeContext } from "./context.ts";
import { type CreatedVolume, createVolume } from "./create-volume.ts";
import { viewMounts } from "./mount-views.ts";
import { dropUnused } from "./remove-volume.ts";
import { resolveMounts } from "./resolve-mounts.ts";
import type { LiveMounts } from "./start-mounts.ts";

/** What a mount of a new container needs. */
type AttachContext = VolumeContext & { readonly live: LiveMounts };

/** Errors: invalid_argument with Docker's texts, internal. After an error nothing that this call made is left. */
export async function attachMounts(
  context: VolumeContext,
  live: LiveMounts,
  container: MountedContainer,
  image: ImageRootfs,
  apiVersion: string,
  signal: AbortSignal,
): Promise<AttachedMounts> {
  const rules: MountRules = {
    recursiveReadOnly: !isBelow(apiVersion, 1, 44),
    strictOptions: !isBelow(apiVersion, 1, 42),
  };
  const wishes = resolveMounts(context, container, rules);
  for (const wish of wishes) await checkSource(context, wish);
  const { workingDir } = container;
  const lacksWorkingDir =
    !["", "/"].includes(workingDir) && !(await context.host.hasWorkingFolder(image, workingDir));
  const made: string[] = [];
  try {
    const mounts: MountRecord[] = [];
    for (const wish of wishes) {
      signal.throwIfAborted();
      mounts.push(await attachOne({ ...context, live }, container, wish, image, made, signal));
    }
    mounts.sort(byDestination);
    const change = context.registry.putMounts({ containerId: container.id, mounts });
    await context.store.commit([change], []);
    return {
      mountPoints: viewMounts(mounts, context.host),
      warnings: driverWarnings(container, apiVersion),
      lacksWorkingDir,
    };
  } catch (error) {
    context.registry.removeMounts(container.id);
    for (const name of made) {
      const volume = context.registry.volume(name);
      if (volume !== undefined) await dropUnused(context, volume);
    }
    throw error;
  }
}

/** What is at one place stays in its order: the later one is seen. */
function byDestination(one: MountRecord, other: MountRecord): number {
  if (one.destination === other.destination) return 0;
  return one.destination < other.destination ? -1 : 1;
}

function driverWarnings(container: MountedContainer, apiVersion: string): string[] {
  const ignored =
    container.volumeDriver !== "" && container.mounts.some(({ type }) => type === "volume");
  if (!ignored || isBelow(apiVersion, 1, 48)) return [];
  return [
    "WARNING: the container-wide volume-driver configuration is ignored for volumes specified via 'mount'. Use '--mount type=volume,volume-driver=...' instead",
  ];
}

async function checkSource(context: VolumeContext, wish: MountWish): Promise<void> {
  if (!wish.sourceMustExist) return;
  const found = await context.host.lookUp(wish.source);
  if (found === "there") return;
  throw invalidArgument(
    found === "missing"
      ? `invalid mount config for type "bind": bind source path does not exist: ${wish.source}`
      : `invalid mount config for type "bind": stat ${wish.source}: not a directory`,
  );
}

async function attachOne(
  context: AttachContext,
  container: MountedContainer,
  wish: MountWish,
  image: ImageRootfs,
  made: string[],
  signal: AbortSignal,
): Promise<MountRecord> {
  if (wish.type === "image") {
    return { ...recordOf(wish), image: await openImage(context, container, wish, signal) };
  }
  if (wish.type !== "volume") return recordOf(wish);
  const anonymous = wish.anonymous || wish.name === "";
  const { volume, created } = await makeVolume(context, wish, container.id);
  if (created) made.push(volume.name);
  if (!wish.noCopy) {
    const { destination: path, declared, subpath } = wish;
    await fillVolume(context, volume, container.id, { image, path, declared, subpath }, signal);
  }
  return { ...recordOf(wish), name: volume.name, driver: volume.driver, anonymous };
}

/** One with driver options is mounted for it, unless a container has it mounted already. */
async function fillVolume(
  { host, live }: AttachContext,
  { name, options }: VolumeRecord,
  containerId: string,
  from: FillSource,
  signal: AbortSignal,
): Promise<void> {
  const mount = volumeMount(options);
  if (mount === undefined) {
    await host.fill(name, from, signal);
    return;
  }
  live.hold(name, containerId);
  try {
    await host.fill(name, { ...from, mount }, signal);
  } finally {
    if (live.letGo(name, containerId)) await host.unmount(name);
  }
}

function recordOf(wish: MountWish): MountRecord {
  const { noCopy, volumeLabels, volumeOptions, sourceMustExist, declared, ...record } = wish;
  return record;
}

/** Errors: as createVolume; not_found (driver), as in Docker, though clients take it for a missing image. */
async function makeVolume(
  context: VolumeContext,
  wish: MountWish,
  containerId: string,
): Promise<CreatedVolume> {
  const { name, driver, volumeOptions: options, volumeLabels: labels } = wish;
  return await createVolume(context, { name, driver, options, labels }, containerId);
}

/** Never not_found: in the answer to create that means the container's own image. */
async function openImage(
  context: VolumeContext,
  container: MountedContainer,
  wish: MountWish,
  signal: AbortSignal,
): Promise<ShownImage> {
  try {
    return (await context.images.open(wish.source, container.id, signal)).image;
  } catch (error) {
    if (!hasKind(error, "not_found")) throw error;
    throw invalidArgument(toEngineError(error).message, { cause: error });
  }
}
