/** All volumes and all containers' mounts, in memory. Changes are made here first and then handed to the database. */
import { notFound } from "@gantry/errors";
import type { ContainerMounts, VolumeRecord } from "../../domain/volume/records.ts";
import type { DocumentChange } from "../../ports/metadata.ts";

export class VolumeRegistry {
  readonly #volumes = new Map<string, VolumeRecord>();
  readonly #mounts = new Map<string, ContainerMounts>();

  /** Containers under creation, by name of a volume that they will mount. */
  readonly #claims = new Map<string, Set<string>>();

  /** Counts as a use until the container's mounts are known or given up. */
  claim(name: string, containerId: string): void {
    const claims = this.#claims.get(name) ?? new Set();
    this.#claims.set(name, claims.add(containerId));
  }

  #dropClaims(containerId: string): void {
    for (const [name, claims] of this.#claims) {
      claims.delete(containerId);
      if (claims.size === 0) this.#claims.delete(name);
    }
  }

  volumes(): VolumeRecord[] {
    return [...this.#volumes.values()].sort((one, other) => (one.name < other.name ? -1 : 1));
  }

  volume(name: string): VolumeRecord | undefined {
    return this.#volumes.get(name);
  }

  /** Errors: not_found with Docker's text. */
  get(name: string): VolumeRecord {
    const volume = this.#volumes.get(name);
    if (volume === undefined) throw notFound("volume", name, `get ${name}: no such volume`);
    return volume;
  }

  put(volume: VolumeRecord): DocumentChange {
    this.#volumes.set(volume.name, volume);
    return { collection: "volume", key: volume.name, value: volume };
  }

  remove(name: string): DocumentChange {
    this.#volumes.delete(name);
    return { collection: "volume", key: name, value: undefined };
  }

  containers(): ContainerMounts[] {
    return [...this.#mounts.values()];
  }

  mountsOf(containerId: string): ContainerMounts | undefined {
    return this.#mounts.get(containerId);
  }

  putMounts(mounts: ContainerMounts): DocumentChange {
    this.#mounts.set(mounts.containerId, mounts);
    this.#dropClaims(mounts.containerId);
    return { collection: "container-mounts", key: mounts.containerId, value: mounts };
  }

  removeMounts(containerId: string): DocumentChange {
    this.#mounts.delete(containerId);
    this.#dropClaims(containerId);
    return { collection: "container-mounts", key: containerId, value: undefined };
  }

  /** IDs of the containers that mount a volume or are about to, running or not. */
  usersOf(name: string): string[] {
    const mounting = this.containers()
      .filter(({ mounts }) =>
        mounts.some((mount) => mount.type === "volume" && mount.name === name),
      )
      .map(({ containerId }) => containerId);
    return [...new Set([...mounting, ...(this.#claims.get(name) ?? [])])];
  }
}
