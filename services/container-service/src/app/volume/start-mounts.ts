/** Makes a container's mounts ready before its launch, and lets them go after its end. */
import path from "node:path";
import { type EngineError, internal, invalidArgument, toEngineError } from "@gantry/errors";
import {
  byDepth,
  type OciMountPlan,
  ociMount,
  rootPropagation,
} from "../../domain/volume/oci-mounts.ts";
import type { MountRecord } from "../../domain/volume/records.ts";
import { volumeMount } from "../../domain/volume/volume-rules.ts";
import type { NewEvent } from "../../ports/metadata.ts";
import type { PreparedMounts } from "../../ports/volumes.ts";
import { inBackground, type VolumeContext } from "./context.ts";

/** Which containers hold which volumes mounted. */
export class LiveMounts {
  readonly #containers = new Set<string>();
  /** Containers by name of a volume with driver options. */
  readonly #holders = new Map<string, Set<string>>();

  /** False when it was there already. */
  add(containerId: string): boolean {
    if (this.#containers.has(containerId)) return false;
    this.#containers.add(containerId);
    return true;
  }

  /** False when it was not there. */
  delete(containerId: string): boolean {
    return this.#containers.delete(containerId);
  }

  has(containerId: string): boolean {
    return this.#containers.has(containerId);
  }

  isHeld(volume: string): boolean {
    return this.#holders.has(volume);
  }

  hold(volume: string, containerId: string): void {
    const holders = this.#holders.get(volume) ?? new Set();
    this.#holders.set(volume, holders.add(containerId));
  }

  /** True when nobody holds it any more. */
  letGo(volume: string, containerId: string): boolean {
    const holders = this.#holders.get(volume);
    holders?.delete(containerId);
    if (holders?.size === 0) this.#holders.delete(volume);
    return !this.#holders.has(volume);
  }
}

/** Errors: invalid_argument, internal. After an error nothing is held. */
export async function prepareMounts(
  context: VolumeContext,
  live: LiveMounts,
  containerId: string,
  signal: AbortSignal,
): Promise<PreparedMounts> {
  const mounts = context.registry.mountsOf(containerId)?.mounts ?? [];
  live.add(containerId);
  try {
    const plans: OciMountPlan[] = [];
    for (const [index, mount] of mounts.entries()) {
      if (!isMounted(mount)) continue;
      const source = await sourceOf(context, live, containerId, mount, index, signal);
      const subpath = mount.subpath && (await context.host.resolveSubpath(source, mount.subpath));
      plans.push(ociMount({ ...mount, subpath }, source));
    }
    return {
      mounts: plans.sort(byDepth),
      rootfsPropagation: rootPropagation(mounts),
    };
  } catch (error) {
    releaseMounts(context, live, containerId);
    throw error;
  }
}

/** Docker's words for a volume whose folder is gone, which nobody makes anew: its disk may only not be mounted. */
function filesMissing(files: string): EngineError {
  const folder = path.dirname(files);
  return internal(
    `error evaluating symlinks from mount source "${files}": lstat ${folder}: no such file or directory`,
    { details: { exitCode: 127 } },
  );
}

function isMounted(mount: MountRecord): boolean {
  return mount.covered !== true;
}

function isVolume(mount: MountRecord): boolean {
  return mount.type === "volume";
}

async function sourceOf(
  context: VolumeContext,
  live: LiveMounts,
  containerId: string,
  mount: MountRecord,
  index: number,
  signal: AbortSignal,
): Promise<string> {
  switch (mount.type) {
    case "tmpfs":
      return "";
    case "bind":
      if (mount.conflict !== undefined) throw internal(`mount options conflict: ${mount.conflict}`);
      await makeBindSource(context, mount);
      await checkPropagation(context, mount);
      return mount.source;
    case "volume":
      await makeVolumeReady(context, live, containerId, mount.name);
      return context.host.mountpoint(mount.name);
    case "image": {
      const image = await context.images.open(mount.image?.id ?? mount.source, containerId, signal);
      return context.host.mountImage(containerId, index, image);
    }
  }
}

async function makeBindSource(context: VolumeContext, mount: MountRecord): Promise<void> {
  // Below a file nothing can be made; what the start then says of it has Docker's code.
  if ((await context.host.lookUp(mount.source)) !== "missing") return;
  if (!mount.createSource) {
    throw invalidArgument(
      `invalid mount config for type "bind": bind source path does not exist: ${mount.source}`,
    );
  }
  try {
    await context.host.makeDirectory(mount.source);
  } catch (error) {
    throw internal(
      `error while creating mount source path '${mount.source}': ${toEngineError(error).message}`,
      { cause: error },
    );
  }
}

/** Nothing can pass through a mount that is private. */
async function checkPropagation({ host }: VolumeContext, mount: MountRecord): Promise<void> {
  if (mount.isPropagationChosen === true) return;
  const isShared = mount.propagation.endsWith("shared");
  if (!isShared && !mount.propagation.endsWith("slave")) return;
  const found = await host.sourceMount(mount.source);
  if (found.isShared || (found.isSlave && !isShared)) return;
  throw internal(
    `path ${mount.source} is mounted on ${found.place} but it is not a ${isShared ? "shared" : "shared or slave"} mount`,
  );
}

async function makeVolumeReady(
  context: VolumeContext,
  live: LiveMounts,
  containerId: string,
  name: string,
): Promise<void> {
  if (!(await context.host.ensure(name))) throw filesMissing(context.host.mountpoint(name));
  const mount = volumeMount(context.registry.get(name).options);
  if (mount === undefined) return;
  live.hold(name, containerId);
  await context.host.mount(name, mount);
}

/** What the container holds mounted, as events. */
export function mountEvents(
  { registry }: VolumeContext,
  live: LiveMounts,
  containerId: string,
): NewEvent[] {
  if (!live.has(containerId)) return [];
  const mounts = registry.mountsOf(containerId)?.mounts ?? [];
  return mounts
    .filter(isVolume)
    .filter(isMounted)
    .map((mount) => mountEvent(containerId, mount));
}

function mountEvent(containerId: string, mount: MountRecord): NewEvent {
  return {
    type: "volume",
    action: "mount",
    actorId: mount.name,
    attributes: {
      container: containerId,
      destination: mount.destination,
      driver: mount.driver,
      propagation: mount.propagation,
      "read/write": String(mount.rw),
    },
  };
}

/** Idempotent; what has to be unmounted is so in the background. */
export function releaseMounts(
  context: VolumeContext,
  live: LiveMounts,
  containerId: string,
): NewEvent[] {
  if (!live.delete(containerId)) return [];
  const mounts = context.registry.mountsOf(containerId)?.mounts ?? [];
  if (mounts.some(({ type }) => type === "image")) {
    inBackground(context, "unmount images", context.host.unmountImages(containerId));
  }
  const volumes = mounts.filter(isVolume);
  for (const name of new Set(volumes.map((mount) => mount.name))) {
    const options = context.registry.volume(name)?.options ?? {};
    if (volumeMount(options) === undefined || !live.letGo(name, containerId)) continue;
    inBackground(context, "unmount volume", context.host.unmount(name));
  }
  return volumes.map(({ name, driver }) => ({
    type: "volume",
    action: "unmount",
    actorId: name,
    attributes: { container: containerId, driver },
  }));
}
