/** Puts the service together: adapters, store, handlers. */
import { chmodSync, mkdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { cleanEnvironment, type EngineConfig, type ServicePaths } from "@gantry/config";
import { type EventLog, implementEventService, nowNano } from "@gantry/events";
import type { Logger } from "@gantry/logging";
import { loadKernel, nativeArtifact, reserveLogSpace } from "@gantry/native";
import { hostPlatform } from "@gantry/oci";
import { ContentService, ImageService, SnapshotService } from "@gantry/proto/image";
import { type DataListener, type Implementation, implement } from "@gantry/rpc";
import { createStepping, failpointStep } from "./adapters/failpoint/kill-at-step.ts";
import { openContentStore } from "./adapters/file-content/content-store.ts";
import { reconcile } from "./adapters/reconcile.ts";
import { createRegistries } from "./adapters/registry/registries.ts";
import { checkOverlay } from "./adapters/snapshot-dirs/overlay-check.ts";
import { openSnapshotDirs } from "./adapters/snapshot-dirs/snapshot-dirs.ts";
import { openMetadata } from "./adapters/sqlite/metadata.ts";
import { createLayerProgram } from "./adapters/unpack-program/layer-program.ts";
import { createMergeLayers } from "./adapters/unpack-program/merged-view.ts";
import { createRunner } from "./adapters/unpack-program/run-program.ts";
import { createBlobFetcher } from "./app/blob-fetcher.ts";
import { restoreLayers } from "./app/restore-layers.ts";
import { createSlots } from "./app/slots.ts";
import { createStore, type Store } from "./app/store.ts";
import type { Registries } from "./ports/registry.ts";
import { archiveHandlers } from "./rpc/archive-handlers.ts";
import { contentHandlers } from "./rpc/content-handlers.ts";
import { imageHandlers } from "./rpc/image-handlers.ts";
import { registryHandlers } from "./rpc/registry-handlers.ts";
import { snapshotHandlers } from "./rpc/snapshot-handlers.ts";
import { storeHandlers } from "./rpc/store-handlers.ts";

/** The service without its sockets. */
export interface ComposedService {
  readonly store: Store;
  readonly events: EventLog;
  services(data: DataListener): Implementation[];
  /** Takes over another configuration of registries. */
  reconfigure(config: EngineConfig): void;
  /** Waits for what runs in the background and closes the database. */
  close(): Promise<void>;
}

export async function compose(
  config: EngineConfig,
  paths: ServicePaths,
  logger: Logger,
): Promise<ComposedService> {
  for (const folder of [paths.dataDir, paths.runDir]) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    // Nobody else may so much as look: a set-id file of an image is in here.
    chmodSync(folder, 0o700);
  }
  const metadata = await openMetadata(paths.dataDir, "image-service");
  reserveLogSpace(path.join(paths.dataDir, "metadata.db")).catch((error: unknown) => {
    logger.warn(
      { err: error },
      "there is no space for records to come: a full disk will refuse them",
    );
  });
  const content = openContentStore(paths.dataDir, logger);
  const owned = new Set([...metadata.snapshots.values()].map(({ id }) => id));
  const dirs = openSnapshotDirs({
    dataDir: paths.dataDir,
    owned,
    logger,
    syncFileSystem: (folder) => loadKernel().syncFileSystem(folder),
  });
  await checkOverlay(path.join(paths.dataDir, "snapshots"), loadKernel());
  const bootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  reconcile({ metadata, content, dirs, logger, bootId });
  const program = createLayerProgram(
    createRunner(nativeArtifact("unpack"), loadKernel),
    createMergeLayers(paths.runDir, loadKernel),
  );
  const host = hostPlatform();
  const stepping = createStepping(failpointStep(cleanEnvironment()));
  const store = createStore({
    metadata: stepping(metadata),
    content: stepping(content),
    dirs: stepping(dirs),
    program: stepping(program),
    logger,
    nowNano,
    host,
    bootId,
  });
  await restoreLayers(store);
  store.collector.schedule();
  let settings = config.registry;
  let current = registriesOf(config);
  const registries: Registries = {
    repository: (...question) => current.repository(...question),
    login: (credential, signal) => current.login(credential, signal),
    search: (...question) => current.search(...question),
    fetchUrl: (url, signal) => current.fetchUrl(url, signal),
  };
  const parts = {
    store,
    registries,
    fetcher: createBlobFetcher(store),
    downloads: createSlots(config.registry.maxConcurrentDownloads),
    uploads: createSlots(config.registry.maxConcurrentUploads),
  };
  return {
    store,
    events: metadata.events,
    services: (data) => [
      implement(ImageService, {
        ...imageHandlers(store),
        ...archiveHandlers(store, data, (url, signal) => registries.fetchUrl(url, signal)),
        ...registryHandlers(parts),
        ...storeHandlers(store, () => settings),
      }),
      implement(ContentService, contentHandlers(store)),
      implement(SnapshotService, snapshotHandlers(store)),
      implementEventService(metadata.events),
    ],
    reconfigure(changed) {
      // Running pulls end with what they began with.
      settings = changed.registry;
      current = registriesOf(changed);
    },
    async close() {
      current.close();
      await store.collector.idle();
      await store.layerSync.idle();
      await metadata[Symbol.asyncDispose]();
    },
  };
}

function registriesOf(config: EngineConfig): ReturnType<typeof createRegistries> {
  return createRegistries({
    mirrors: config.registry.mirrors,
    insecure: config.registry.insecure,
    certificateDirs: [path.join(path.dirname(config.configFile), "certs.d"), "/etc/docker/certs.d"],
    proxyEnv: {
      HTTP_PROXY: config.proxies.http,
      HTTPS_PROXY: config.proxies.https,
      NO_PROXY: config.proxies.none,
    },
  });
}
