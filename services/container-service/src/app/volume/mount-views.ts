/** Mounts as inspect shows them. */
import type { ContainerMounts, MountRecord } from "../../domain/volume/records.ts";
import type { VolumeHost } from "../../ports/volume-host.ts";
import type { MountPointView } from "../../ports/volumes.ts";

const none: readonly MountPointView[] = [];
/** Views by the record that they were made of. */
const made = new WeakMap<ContainerMounts, readonly MountPointView[]>();

/** Mounts of a container: the same list until its record is replaced. */
export function viewMountsOf(
  record: ContainerMounts | undefined,
  host: Pick<VolumeHost, "mountpoint">,
): readonly MountPointView[] {
  if (record === undefined) return none;
  const known = made.get(record);
  if (known !== undefined) return known;
  const views = viewMounts(record.mounts, host);
  made.set(record, views);
  return views;
}

export function viewMounts(
  mounts: readonly MountRecord[],
  host: Pick<VolumeHost, "mountpoint">,
): MountPointView[] {
  return mounts
    .filter(({ listed }) => listed)
    .map((mount) => ({
      type: mount.type,
      name: mount.name,
      source: mount.type === "volume" ? host.mountpoint(mount.name) : mount.source,
      destination: mount.shownAs ?? mount.destination,
      place: mount.destination,
      driver: mount.driver,
      mode: mount.mode,
      rw: mount.rw,
      propagation: mount.propagation,
    }));
}
