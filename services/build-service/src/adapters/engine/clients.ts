/** What is asked of image-service. */
import type { Manifest } from "@gantry/oci";
import type { ContentService, ImageService, SnapshotService } from "@gantry/proto/image";
import type { ServiceClient } from "@gantry/rpc";

export interface Clients {
  readonly images: ServiceClient<typeof ImageService>;
  readonly snapshots: ServiceClient<typeof SnapshotService>;
  readonly content: ServiceClient<typeof ContentService>;
  /** Manifests by digest that were read, the oldest first. */
  readonly manifests: Map<string, Manifest>;
}
