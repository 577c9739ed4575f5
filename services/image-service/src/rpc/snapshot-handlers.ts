/** SnapshotService. */
import type { SnapshotService } from "@gantry/proto/image";
import type { Handlers } from "@gantry/rpc";
import { snapshotChanges } from "../app/snapshot-changes.ts";
import {
  getMounts,
  listSnapshots,
  prepareSnapshot,
  removeSnapshot,
  snapshotUsage,
} from "../app/snapshots.ts";
import type { Store } from "../app/store.ts";
import { wireMount } from "./messages.ts";

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

    async listSnapshots() {
      return {
        snapshots: listSnapshots(store).map(({ key, parent, kind, createdNano }) => ({
          key,
          parentChainId: parent,
          view: kind === "view",
          createdNano,
        })),
      };
    },

    async listSnapshotChanges({ key }, { signal }) {
      return { changes: [...(await snapshotChanges(store, key, signal))] };
    },
  };
}
