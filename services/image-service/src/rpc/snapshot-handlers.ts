/** SnapshotService. */
import { parseDigest } from "@gantry/oci";
import type { SnapshotService } from "@gantry/proto/image";
import type { Handlers } from "@gantry/rpc";
import { commitSnapshot, packSnapshot } from "../app/commit-snapshot.ts";
import { snapshotChanges } from "../app/snapshot-changes.ts";
import {
  getMounts,
  listSnapshots,
  prepareSnapshot,
  removeSnapshot,
  snapshotUsage,
} from "../app/snapshots.ts";
import type { Store } from "../app/store.ts";
import { unpackManifest } from "../app/unpack-manifest.ts";
import { wireDescriptor, wireMount } from "./messages.ts";

export function snapshotHandlers(store: Store): Handlers<typeof SnapshotService> {
  return {
    async prepareSnapshot({ key, parentChainId, leaseOwner }) {
      const mount = prepareSnapshot(store, "active", { key, parent: parentChainId, leaseOwner });
      return { mount: wireMount(mount) };
    },

    async viewSnapshot({ key, chainId, leaseOwner }) {
      const mount = prepareSnapshot(store, "view", { key, parent: chainId, leaseOwner });
      return { mount: wireMount(mount) };
    },

    async getMounts({ key }) {
      return { mount: wireMount(getMounts(store, key)) };
    },

    async removeSnapshot({ key }) {
      removeSnapshot(store, key);
      return {};
    },

    async getUsage({ key }, { signal }) {
      const usage = await snapshotUsage(store, key, signal);
      return {
        sizeBytes: BigInt(usage.sizeBytes),
        totalSizeBytes: BigInt(usage.totalSizeBytes),
        inodes: BigInt(usage.inodes),
      };
    },

    async commitSnapshot(request, { signal }) {
      const { sizeBytes, inodes } = await commitSnapshot(store, { ...request, signal });
      return { sizeBytes: BigInt(sizeBytes), inodes: BigInt(inodes) };
    },

    async packSnapshot(request, { signal }) {
      const { chainId, diffId, layer } = await packSnapshot(store, { ...request, signal });
      return { chainId, diffId, layer: wireDescriptor(layer) };
    },

    async unpackManifest({ digest, leaseOwner }, { signal }) {
      const request = { digest: parseDigest(digest), leaseOwner, signal };
      return { chainId: await unpackManifest(store, request) };
    },

    async listSnapshots({ layers }) {
      return {
        snapshots: listSnapshots(store, layers).map((record) => ({
          key: record.key,
          parentChainId: record.parent,
          view: record.kind === "view",
          createdNano: record.createdNano,
          sizeBytes: BigInt(record.sizeBytes),
        })),
      };
    },

    async listSnapshotChanges({ key }, { signal }) {
      return { changes: [...(await snapshotChanges(store, key, signal))] };
    },
  };
}
