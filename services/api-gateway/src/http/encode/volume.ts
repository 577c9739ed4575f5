/** Volumes → Docker's JSON. */
import type { Volume } from "@gantry/proto/volume";
import { type JsonOut, sorted } from "./json.ts";
import { rfc3339Seconds } from "./time.ts";

/** Encodes a volume; with its use for `system df`. */
export function encodeVolume(volume: Volume, usage = false): JsonOut {
  return {
    CreatedAt: rfc3339Seconds(volume.createdNano),
    Driver: volume.driver,
    Labels: mapOrNull(volume.labels, volume.hasLabels),
    Mountpoint: volume.mountpoint,
    Name: volume.name,
    Options: mapOrNull(volume.options, volume.hasOptions),
    Scope: volume.scope,
    UsageData: usage ? { RefCount: volume.refCount, Size: volume.sizeBytes } : undefined,
  };
}

/** Go tells a map that was not given from one that was given empty. */
function mapOrNull(map: Readonly<Record<string, string>>, given: boolean): JsonOut {
  return !given && Object.keys(map).length === 0 ? null : sorted(map);
}
