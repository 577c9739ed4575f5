/**
 * Unpacked layers become durable behind the back of those who wait for them: one syncfs for all that
 * were unpacked meanwhile. Until then their rows name the boot of the machine; a layer whose boot has
 * ended without it (a power cut) is unpacked anew from its blob, which is always durable. A layer of the
 * builder that has no blob yet is built anew.
 */
import type { Logger } from "@gantry/logging";
import type { SnapshotRecord } from "../domain/records.ts";
import type { Metadata } from "../ports/metadata.ts";
import type { SnapshotDirs } from "../ports/snapshot-dirs.ts";

/** Pulls in a row share one sync. */
const delayMs = 1000;

export interface LayerSync {
  /** What a new layer's row says. */
  readonly bootId: string;
  /** Syncs soon, in the background. */
  schedule(): void;
  /** Resolves when nothing is under way; what was scheduled is done first. */
  idle(): Promise<void>;
}

export interface LayerSyncDeps {
  readonly metadata: Metadata;
  readonly dirs: Pick<SnapshotDirs, "sync">;
  readonly logger: Logger;
  readonly bootId: string;
}

export function createLayerSync(deps: LayerSyncDeps): LayerSync {
  let scheduled: NodeJS.Timeout | undefined;
  let running: Promise<void> = Promise.resolve();
  const begin = (): void => {
    clearTimeout(scheduled);
    scheduled = undefined;
    running = running
      .then(() => syncLayers(deps))
      .catch((error: unknown) => {
        // The rows stay as they are: the next layer's sync covers these, too.
        deps.logger.error({ err: error }, "cannot sync unpacked layers");
      });
  };
  return {
    bootId: deps.bootId,
    schedule() {
      scheduled ??= setTimeout(begin, delayMs).unref();
    },
    async idle() {
      if (scheduled !== undefined) begin();
      await running;
    },
  };
}

async function syncLayers({ metadata, dirs }: LayerSyncDeps): Promise<void> {
  const written = unsynced(metadata);
  if (written.length === 0) return;
  await dirs.sync();
  metadata.change((change) => {
    // One may have been collected meanwhile, or got another key.
    const ids = new Set(written.map(({ id }) => id));
    for (const record of unsynced(metadata)) {
      if (ids.has(record.id)) change.putSnapshot({ ...record, unsyncedBoot: "" });
    }
  });
}

function unsynced(metadata: Metadata): SnapshotRecord[] {
  return [...metadata.snapshots.values()].filter(({ unsyncedBoot }) => unsyncedBoot !== "");
}
