/** Stand-in until volumes are there: no mounts at all. */
import { notImplemented } from "@gantry/errors";
import type { Volumes } from "../ports/volumes.ts";

export const plainVolumes: Volumes = {
  open: () => Promise.resolve(),
  reconcile: () => Promise.resolve(),
  attach(container) {
    const asked = container.mounts.length + container.volumes.length + (container.binds?.values.length ?? 0);
    if (asked > 0) throw notImplemented("volumes are not implemented");
    return Promise.resolve({ mountPoints: [], warnings: [] });
  },
  prepareStart: () => Promise.resolve({ mounts: [], events: [], rootfsPropagation: "" }),
  release: () => [],
  detach: () => Promise.resolve(),
  mountPoints: () => [],
  mounts: () => false,
  teardownHost: () => Promise.resolve(),
};
