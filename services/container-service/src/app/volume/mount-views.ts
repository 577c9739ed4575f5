/** Mounts as inspect shows them. */
import type { MountRecord } from "../../domain/volume/records.ts";
import type { VolumeHost } from "../../ports/volume-host.ts";
import type { MountPointView } from "../../ports/volumes.ts";

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
      destination: mount.destination,
      driver: mount.driver,
      mode: mount.mode,
      rw: mount.rw,
      propagation: mount.propagation,
    }));
}
