/** Volumes → Docker's JSON. */
import type { Volume } from "@gantry/proto/volume";
import { type JsonOut, sorted } from "./json.ts";
import { rfc3339Seconds } from "./time.ts";

/** Encodes a volume; with its use for `system df`. */
export function encodeVolume(volume: Volume, usage = false): JsonOut {
  return {
    CreatedAt: rfc3339Seconds(volume.createdNano),
    Driver: volume.driver,
    Labels: nullIfEmptyMap(volume.labels),
    Mountpoint: volume.mountpoint,
    Name: volume.name,
    Options: nullIfEmptyMap(volume.options),
    Scope: volume.scope,
    UsageData: usage ? { RefCount: volume.refCount, Size: volume.sizeBytes } : undefined,
  };
}

function nullIfEmptyMap(map: Readonly<Record<string, string>>): JsonOut {
  return Object.keys(map).length === 0 ? null : sorted(map);
}
