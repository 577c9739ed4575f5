/** What the use cases of building share. Made once in compose.ts. */
import type { Logger } from "@gantry/logging";
import type { BuildCache } from "../ports/build-cache.ts";
import type { CacheMounts } from "../ports/cache-mounts.ts";
import type { StepContainers } from "../ports/containers.ts";
import type { Archives, Downloads } from "../ports/downloads.ts";
import type { FileWork } from "../ports/file-work.ts";
import type { KeptContexts } from "../ports/kept-contexts.ts";
import type { BaseImage, Layers, PackedLayer } from "../ports/layers.ts";
import type { SolverShared } from "./solver.ts";

/** Everything. */
export interface BuilderParts {
  readonly logger: Logger;
  readonly cache: BuildCache;
  readonly cacheMounts: CacheMounts;
  readonly layers: Layers;
  readonly containers: StepContainers;
  readonly files: FileWork;
  readonly archives: Archives;
  readonly downloads: Downloads;
  readonly shared: SolverShared;
  readonly keptContexts: KeptContexts;
  /** Folder for files of builds, on the disk of the cache. */
  readonly scratchDir: string;
  /** Folder in memory. */
  readonly runDir: string;
  /** Layers being packed, by key: each once. */
  readonly packing: Map<string, Promise<PackedLayer>>;
  /** Remembers the blobs of an image's layers. */
  knowLayers(image: Pick<BaseImage, "layers">): void;
  /** A reference as displays show it: `docker.io/library/alpine:latest`. */
  fullName(reference: string): string;
}
