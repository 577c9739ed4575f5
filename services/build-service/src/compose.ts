/** Puts the service together: adapters, the builder, handlers. */
import { chmodSync, mkdirSync, statfsSync } from "node:fs";
import path from "node:path";
import { type EngineConfig, type ServicePaths, servicePaths } from "@gantry/config";
import { hasKind } from "@gantry/errors";
import type { Logger } from "@gantry/logging";
import { loadKernel, nativeArtifact, removeTree, reserveLogSpace } from "@gantry/native";
import { canonicalName, chainIds, parseDigest, parseReference, withDefaultTag } from "@gantry/oci";
import { BuildService } from "@gantry/proto/build";
import { ImageService } from "@gantry/proto/image";
import {
  type Channel,
  type DataListener,
  type Implementation,
  implement,
  openChannel,
} from "@gantry/rpc";
import { openCacheMounts } from "./adapters/cache/cache-mounts.ts";
import { openSqliteCache } from "./adapters/cache/sqlite-cache.ts";
import { openDownloads } from "./adapters/download/downloads.ts";
import { openImageLayers } from "./adapters/engine/image-layers.ts";
import { openStepContainers } from "./adapters/engine/step-containers.ts";
import { openWorkerFacts } from "./adapters/engine/worker-facts.ts";
import { openArchives } from "./adapters/files/archives.ts";
import { openFileWork } from "./adapters/files/file-work.ts";
import type { Activity } from "./app/activity.ts";
import { createBuilder } from "./app/builder.ts";
import type { BuilderParts } from "./app/builder-parts.ts";
import { collectGarbage, reconcileRecords } from "./app/cache-records.ts";
import { gcPolicy } from "./app/gc-policy.ts";
import { InUse } from "./app/in-use.ts";
import { SharedWork } from "./app/shared-work.ts";
import { leaseOwnerOf } from "./app/solver.ts";
import { KeptTrees } from "./buildkit/contexts/kept-trees.ts";
import { openBuildkit } from "./buildkit/front.ts";
import { imagePusher } from "./buildkit/solve/image-pusher.ts";
import { buildHandlers } from "./rpc/build-handlers.ts";
import { buildkitHandlers } from "./rpc/buildkit-handlers.ts";

/** The service without its sockets. */
export interface ComposedService {
  services(data: DataListener, activity: Activity): Implementation[];
  /**
   * Waits for the services that it works with, then takes up what is on the disk, and away what an
   * earlier process left. False: the signal aborted first.
   */
  open(signal: AbortSignal): Promise<boolean>;
  /** Keeps the cache within its bounds. */
  collect(signal: AbortSignal): Promise<void>;
  close(): void;
}

/** A call waits so long for a service that is away. */
const patienceMs = 2000;

/** A service that is late is told of so often. */
const lateMs = 1000;

export function compose(
  config: EngineConfig,
  paths: ServicePaths,
  logger: Logger,
): ComposedService {
  const scratchDir = path.join(paths.dataDir, "scratch");
  for (const folder of [paths.dataDir, paths.runDir]) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    chmodSync(folder, 0o700);
  }
  const imageChannel = openChannel(servicePaths(config, "image-service").grpcSocket, {
    patienceMs,
    ttrpc: true,
  });
  const containerChannel = openChannel(servicePaths(config, "container-service").grpcSocket, {
    patienceMs,
    ttrpc: true,
  });
  const kernel = loadKernel();
  const cache = openSqliteCache(paths.dataDir);
  reserveLogSpace(path.join(paths.dataDir, "cache.db")).catch((error: unknown) => {
    logger.warn(
      { err: error },
      "there is no space for the cache to come: a full disk will refuse it",
    );
  });
  const inUse = new InUse();
  const cacheMounts = openCacheMounts(paths.dataDir, cache, (id) => {
    inUse.add(id);
  });
  const layers = openImageLayers({ channel: imageChannel, kernel, runDir: paths.runDir });
  const archives = openArchives(nativeArtifact("unpack"));
  const trees = new KeptTrees(path.join(paths.dataDir, "contexts"));
  const parts: BuilderParts = {
    ...{ logger, cache, cacheMounts, layers, archives, scratchDir, runDir: paths.runDir },
    containers: openStepContainers(containerChannel, logger),
    files: openFileWork(kernel, cache.fileSums),
    downloads: openDownloads(archives),
    packing: new Map(),
    keptContexts: trees,
    shared: {
      ...{ cache, inUse, work: new SharedWork() },
      async forget({ id }) {
        inUse.remove(id);
        await layers.release(leaseOwnerOf(id));
      },
    },
    knowLayers({ layers: all }) {
      const chain = chainIds(all.map(({ diffId }) => parseDigest(diffId)));
      for (const [index, layer] of all.entries()) cache.putLayer(chain[index] ?? "", layer);
    },
    fullName: (reference) => canonicalName(withDefaultTag(parseReference(reference))),
  };
  const builder = createBuilder(parts);
  const pusher = imagePusher(imageChannel.client(ImageService));
  const { runDir } = paths;
  const { blocks, bsize } = statfsSync(paths.dataDir);
  const policy = gcPolicy(config.buildCache, blocks * bsize);
  const facts = openWorkerFacts(containerChannel, config.network.hostGatewayAddresses);
  const front = openBuildkit({
    ...{ builder, pusher, trees, remote: parts, policy, facts, runDir, logger },
    historyDir: path.join(paths.dataDir, "history"),
  });
  return {
    services: (data, activity) => [
      implement(BuildService, buildHandlers(parts, front, data, activity)),
      buildkitHandlers(front, data, activity),
    ],
    async open(signal) {
      // Of an earlier process: no build of ours is running yet.
      for (const folder of [scratchDir, path.join(paths.runDir, "secrets")])
        await removeTree(folder);
      mkdirSync(scratchDir, { mode: 0o700 });
      await cacheMounts.cleanUp();
      await trees.removeUnfinished();
      for (const channel of [imageChannel, containerChannel]) {
        if (!(await untilReady(channel, logger, signal))) return false;
      }
      await layers.cleanUp();
      await parts.containers.removeLeftovers();
      await reconcileRecords(parts);
      return true;
    },
    async collect(signal) {
      const count = await collectGarbage(parts, policy, signal);
      if (count > 0) logger.info({ records: count }, "build cache was trimmed");
    },
    close() {
      front.close();
      imageChannel.close();
      containerChannel.close();
      cache[Symbol.dispose]();
    },
  };
}

/** Services may be started in any order. False: the signal aborted first. */
async function untilReady(channel: Channel, logger: Logger, signal: AbortSignal): Promise<boolean> {
  while (!signal.aborted) {
    try {
      await channel.ready(lateMs);
      return true;
    } catch (error) {
      if (!(error instanceof Error) || !hasKind(error, "unavailable")) throw error;
      logger.info({ reason: error.message }, "waiting");
    }
  }
  return false;
}
