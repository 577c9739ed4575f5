/** What the use cases of volumes share. */
import type { Turns } from "@gantry/fs";
import type { Logger } from "@gantry/logging";
import type { MetadataStore } from "../../ports/metadata.ts";
import type { VolumeHost } from "../../ports/volume-host.ts";
import type { MountedImages, VolumesFromDirectory } from "../../ports/volumes.ts";
import type { VolumeRegistry } from "./registry.ts";

export interface VolumeContext {
  readonly registry: VolumeRegistry;
  readonly host: VolumeHost;
  readonly store: MetadataStore;
  /** Who makes or removes a volume does it when nobody else does with one of that name. */
  readonly turns: Turns;
  readonly images: MountedImages;
  readonly directory: VolumesFromDirectory;
  /** 64 hex digits. */
  readonly newId: () => string;
  /** Nanoseconds since the epoch. */
  readonly nowNano: () => bigint;
  /** Folder of all services' data. */
  readonly engineRoot: string;
  readonly logger: Logger;
}

/** Runs on without anybody waiting for it; a failure is logged. */
export function inBackground(
  context: Pick<VolumeContext, "logger">,
  what: string,
  work: Promise<unknown>,
): void {
  work.catch((error: unknown) => {
    context.logger.error({ err: error, what }, "background work of volumes failed");
  });
}
