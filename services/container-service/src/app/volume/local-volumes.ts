/** Mounts of the lifecycle, and the operations of the volume API: the use cases with their state. */
import { conflict } from "@gantry/errors";
import type { ContainerMounts, VolumeRecord } from "../../domain/volume/records.ts";
import {
  checkListFilter,
  checkPruneFilter,
  isListed,
  type VolumeFilter,
} from "../../domain/volume/volume-filters.ts";
import { volumeMount } from "../../domain/volume/volume-rules.ts";
import type { NewEvent } from "../../ports/metadata.ts";
import type {
  AttachedMounts,
  ImageRootfs,
  MountedContainer,
  MountPointView,
  PreparedMounts,
  ShownImage,
  Volumes,
} from "../../ports/volumes.ts";
import { attachMounts } from "./attach-mounts.ts";
import type { VolumeContext } from "./context.ts";
import { createVolume, type NewVolume } from "./create-volume.ts";
import { viewMountsOf } from "./mount-views.ts";
import { dropUnused, type PrunedVolumes, pruneVolumes, removeVolume } from "./remove-volume.ts";
import { LiveMounts, mountEvents, prepareMounts, releaseMounts } from "./start-mounts.ts";

/** A volume as the API shows it. */
export interface VolumeView {
  readonly record: VolumeRecord;
  readonly mountpoint: string;
  /** Bytes, absent when not asked for. */
  readonly sizeBytes?: bigint;
  /** Containers that use it, absent when not asked for. */
  readonly refCount?: number;
}

export class LocalVolumes implements Volumes {
  readonly #context: VolumeContext;
  readonly #live = new LiveMounts();
  #pruning = false;

  constructor(context: VolumeContext) {
    this.#context = context;
  }

  async open(): Promise<void> {
    const { registry, store, host, logger } = this.#context;
    for (const value of store.load("volume").values()) registry.put(value as VolumeRecord);
    for (const value of store.load("container-mounts").values()) {
      registry.putMounts(value as ContainerMounts);
    }
    await host.open(registry.volumes().map(({ name }) => name));
    for (const { name, createdNano } of await host.list()) {
      if (registry.volume(name) !== undefined) continue;
      logger.warn({ volume: name }, "adopting a volume that no record tells of");
      const record = {
        name,
        driver: "local",
        createdNano: String(createdNano),
        labels: {},
        options: {},
      };
      await store.commit([registry.put(record)], []);
    }
  }

  async reconcile(live: ReadonlySet<string>, known: ReadonlySet<string>): Promise<void> {
    const { registry, store } = this.#context;
    for (const { containerId, mounts } of registry.containers()) {
      if (!known.has(containerId)) {
        await store.commit([registry.removeMounts(containerId)], []);
      } else if (live.has(containerId)) {
        this.#live.add(containerId);
        for (const { type, name } of mounts) {
          if (type === "volume" && this.#hasDriverMount(name)) this.#live.hold(name, containerId);
        }
      }
    }
    await this.#unmountUnused();
  }

  /** What containers held that have ended while the service was away. */
  async #unmountUnused(): Promise<void> {
    const { registry, host, logger } = this.#context;
    const work = registry
      .volumes()
      .filter(({ name }) => this.#hasDriverMount(name) && !this.#live.isHeld(name))
      .map(({ name }) => host.unmount(name));
    const owners = (await host.imageMountOwners()).filter((id) => !this.#live.has(id));
    for (const done of await Promise.allSettled([
      ...work,
      ...owners.map((id) => host.unmountImages(id)),
    ])) {
      if (done.status === "rejected") logger.error({ err: done.reason }, "a mount is left");
    }
  }

  #hasDriverMount(name: string): boolean {
    return volumeMount(this.#context.registry.volume(name)?.options ?? {}) !== undefined;
  }

  attach(
    container: MountedContainer,
    image: ImageRootfs,
    apiVersion: string,
    signal: AbortSignal,
  ): Promise<AttachedMounts> {
    return attachMounts(this.#context, this.#live, container, image, apiVersion, signal);
  }

  prepareStart(containerId: string, signal: AbortSignal): Promise<PreparedMounts> {
    return prepareMounts(this.#context, this.#live, containerId, signal);
  }

  mounted(containerId: string): readonly NewEvent[] {
    return mountEvents(this.#context, this.#live, containerId);
  }

  release(containerId: string): readonly NewEvent[] {
    return releaseMounts(this.#context, this.#live, containerId);
  }

  async detach(containerId: string, removeAnonymous: boolean): Promise<void> {
    const { registry, store } = this.#context;
    const mounts = registry.mountsOf(containerId)?.mounts;
    if (mounts === undefined) return;
    this.release(containerId);
    await store.commit([registry.removeMounts(containerId)], []);
    if (!removeAnonymous) return;
    for (const { type, name, anonymous } of mounts) {
      const volume = type === "volume" && anonymous ? registry.volume(name) : undefined;
      if (volume !== undefined) await dropUnused(this.#context, volume);
    }
  }

  mountPoints(containerId: string): readonly MountPointView[] {
    const { registry, host } = this.#context;
    return viewMountsOf(registry.mountsOf(containerId), host);
  }

  mountedImages(containerId: string): readonly ShownImage[] {
    const mounts = this.#context.registry.mountsOf(containerId)?.mounts ?? [];
    return mounts.map(({ image }) => image).filter((image) => image !== undefined);
  }

  mounts(containerId: string, nameOrDestination: string): boolean {
    const mounts = this.#context.registry.mountsOf(containerId)?.mounts ?? [];
    return mounts.some(
      (mount) =>
        mount.listed &&
        ((mount.type === "volume" && mount.name === nameOrDestination) ||
          mount.source === nameOrDestination ||
          mount.destination === nameOrDestination),
    );
  }

  async teardownHost(): Promise<void> {
    const { registry, host } = this.#context;
    for (const { containerId } of registry.containers()) await host.unmountImages(containerId);
    for (const { name } of registry.volumes()) {
      if (this.#hasDriverMount(name)) await host.unmount(name);
    }
  }

  // The volume API.

  /** Errors: see createVolume. */
  async create(request: NewVolume): Promise<VolumeView> {
    const { volume } = await createVolume(this.#context, request);
    return this.#view(volume);
  }

  /** Errors: not_found. */
  inspect(name: string): VolumeView {
    return this.#view(this.#context.registry.get(name));
  }

  /** Errors: invalid_argument (filters). */
  async list(filter: VolumeFilter, usage: boolean, signal: AbortSignal): Promise<VolumeView[]> {
    checkListFilter(filter);
    const { registry } = this.#context;
    const volumes = registry
      .volumes()
      // What is on other devices is no use of this one.
      .filter(({ options }) => !usage || Object.keys(options).length === 0)
      .filter((volume) => isListed(volume, filter, registry.usersOf(volume.name).length > 0));
    const views: VolumeView[] = [];
    for (const volume of volumes) {
      views.push(usage ? await this.#measured(volume, signal) : this.#view(volume));
    }
    return views;
  }

  async #measured(volume: VolumeRecord, signal: AbortSignal): Promise<VolumeView> {
    const { registry, host } = this.#context;
    return {
      ...this.#view(volume),
      sizeBytes: await host.sizeBytes(volume.name, signal),
      refCount: registry.usersOf(volume.name).length,
    };
  }

  #view(record: VolumeRecord): VolumeView {
    return { record, mountpoint: this.#context.host.mountpoint(record.name) };
  }

  /** Errors: not_found, conflict (in use). */
  remove(name: string, force: boolean): Promise<void> {
    return removeVolume(this.#context, name, force);
  }

  /** Errors: conflict (`a prune operation is already running`), invalid_argument (filters). */
  async prune(filter: VolumeFilter, all: boolean, signal: AbortSignal): Promise<PrunedVolumes> {
    checkPruneFilter(filter);
    if (this.#pruning) throw conflict("a prune operation is already running");
    this.#pruning = true;
    try {
      return await pruneVolumes(this.#context, filter, all, signal);
    } finally {
      this.#pruning = false;
    }
  }
}
