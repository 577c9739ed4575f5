/** What the use cases share. */
import type { Logger } from "@gantry/logging";
import type { Platform } from "@gantry/oci";
import type { ContentStore } from "../ports/content.ts";
import type { LayerProgram } from "../ports/layers.ts";
import type { Metadata } from "../ports/metadata.ts";
import type { SnapshotDirs } from "../ports/snapshot-dirs.ts";
import { type Catalog, createCatalog } from "./catalog.ts";
import { type Collector, createCollector } from "./collector.ts";
import { createHolds, type Holds } from "./holds.ts";
import { createImageUsers, type ImageUsers } from "./image-users.ts";
import { createLayerSync, type LayerSync } from "./layer-sync.ts";
import type { PackedTree } from "./pack-tree.ts";
import { createUnpacker, type Unpacker } from "./unpacker.ts";

/** The ports of the store. */
export interface StorePorts {
  readonly metadata: Metadata;
  readonly content: ContentStore;
  readonly dirs: SnapshotDirs;
  readonly program: LayerProgram;
  readonly logger: Logger;
  readonly nowNano: () => bigint;
  /** Platform of this machine. */
  readonly host: Platform;
  /** Changes when the machine starts anew. */
  readonly bootId: string;
}

/** Ports, and what is made of them once. */
export interface Store extends StorePorts {
  readonly catalog: Catalog;
  readonly holds: Holds;
  readonly collector: Collector;
  readonly unpacker: Unpacker;
  readonly layerSync: LayerSync;
  readonly users: ImageUsers;
  /** Layers that got a chain ID while this process ran: their keys before and now. */
  readonly renamed: Map<string, string>;
  /** What an empty tree was packed as, once one was. */
  readonly emptyTree: { packed: PackedTree | undefined };
}

export function createStore(ports: StorePorts): Store {
  const catalog = createCatalog(ports.metadata, ports.content);
  const holds = createHolds((images) => {
    for (const image of images) if (!ports.metadata.images.has(image)) collector.schedule();
  });
  const collector = createCollector({ ...ports, catalog, holds });
  const layerSync = createLayerSync(ports);
  return {
    ...ports,
    catalog,
    holds,
    collector,
    unpacker: createUnpacker({ ...ports, layerSync }),
    layerSync,
    users: createImageUsers(),
    renamed: new Map(),
    emptyTree: { packed: undefined },
  };
}
