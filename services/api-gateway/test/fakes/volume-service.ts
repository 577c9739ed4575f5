/** Volumes that are only remembered. */
/** A container-service in memory: containers whose process is a function over the attached socket. */
import { randomBytes } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { notFound } from "@gantry/errors";
import { type Volume, VolumeSchema, VolumeService } from "@gantry/proto/volume";
import { type Implementation, implement } from "@gantry/rpc";
import type { Seen } from "./seen.ts";

export function fakeVolumes(volumes: Map<string, Volume>, seen: Seen[]): Implementation {
  return implement(VolumeService, {
    createVolume: (request) => {
      const volume = create(VolumeSchema, {
        name: request.name || randomBytes(32).toString("hex"),
        driver: "local",
        scope: "local",
        createdNano: 1_700_000_000_000_000_000n,
        mountpoint: "/v",
        sizeBytes: -1n,
        refCount: -1n,
      });
      volumes.set(volume.name, volume);
      return Promise.resolve({ volume });
    },
    inspectVolume: (request) => {
      const volume = volumes.get(request.name);
      if (volume === undefined)
        throw notFound("volume", request.name, `get ${request.name}: no such volume`);
      return Promise.resolve({ volume });
    },
    listVolumes: () => Promise.resolve({ volumes: [...volumes.values()], warnings: [] }),
    removeVolume: (request) => {
      if (!volumes.delete(request.name))
        throw notFound("volume", request.name, `get ${request.name}: no such volume`);
      return Promise.resolve({});
    },
    pruneVolumes: (request) => {
      seen.push({ method: "pruneVolumes", request });
      return Promise.resolve({ deleted: [], spaceReclaimedBytes: 0n });
    },
  });
}
