/** Puts volumes together from their parts: for main, and for tests. */
import { randomBytes } from "node:crypto";
import path from "node:path";
import { nowNano } from "@gantry/events";
import { Turns } from "@gantry/fs";
import type { Logger } from "@gantry/logging";
import type { Kernel } from "@gantry/native";
import { VolumeFolder } from "./adapters/volume/volume-folder.ts";
import { LocalVolumes } from "./app/volume/local-volumes.ts";
import { VolumeRegistry } from "./app/volume/registry.ts";
import type { MetadataStore } from "./ports/metadata.ts";
import type { MountedImages, VolumesFromDirectory } from "./ports/volumes.ts";

/** What volumes are made from. */
export interface VolumeParts {
  /** The service's data folder; volumes live in `volumes/` below. */
  readonly dataDir: string;
  readonly kernel: Kernel;
  readonly store: MetadataStore;
  readonly images: MountedImages;
  readonly directory: VolumesFromDirectory;
  /** Path of the unpack program. */
  readonly unpackProgram: string;
  readonly logger: Logger;
}

/** Nothing is touched before `open`. */
export function createVolumes(parts: VolumeParts): LocalVolumes {
  const { dataDir, kernel, store, images, directory, unpackProgram, logger } = parts;
  return new LocalVolumes({
    registry: new VolumeRegistry(),
    turns: new Turns(),
    host: new VolumeFolder({ dataDir, kernel, unpackProgram, logger }),
    store,
    images,
    directory,
    newId: () => randomBytes(32).toString("hex"),
    nowNano,
    engineRoot: path.dirname(dataDir),
    logger,
  });
}
