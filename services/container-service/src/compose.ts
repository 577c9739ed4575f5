/** Puts the service together: adapters, the App, and what is served. */
import { mkdirSync } from "node:fs";
import path from "node:path";
import { cleanEnvironment, type EngineConfig, loadConfig, servicePaths } from "@gantry/config";
import { implementEventService } from "@gantry/events";
import type { Logger } from "@gantry/logging";
import { type Kernel, loadKernel, nativeArtifact, reserveLogSpace } from "@gantry/native";
import { type Channel, type DataListener, type Implementation, openChannel } from "@gantry/rpc";
import { createShim } from "@gantry/shim";
import { openRootMounts } from "./adapters/archive/root-mounts.ts";
import { openUnpackProgram } from "./adapters/archive/unpack-program.ts";
import { launchFailpoint } from "./adapters/failpoint/kill-at-launch.ts";
import { openStepping, type Stepping } from "./adapters/failpoint/kill-at-step.ts";
import { ensureDefaultProfile } from "./adapters/host/apparmor.ts";
import { openContainerFolders } from "./adapters/host/container-folders.ts";
import { openHostDevices } from "./adapters/host/host-devices.ts";
import { readHostFacts } from "./adapters/host/read-host-facts.ts";
import { openImages } from "./adapters/image-client/image-client.ts";
import { openLogFiles } from "./adapters/log/log-files.ts";
import { openContainerStore } from "./adapters/sqlite/container-store.ts";
import { type Database, openDatabase } from "./adapters/sqlite/database.ts";
import { openMetadataStore } from "./adapters/sqlite/metadata-store.ts";
import type { App } from "./app/context.ts";
import { openDeparted } from "./app/departed.ts";
import { containerDirectory } from "./app/directories.ts";
import { openExecTable } from "./app/exec-table.ts";
import { letGo } from "./app/let-go.ts";
import type { BridgeNetworking } from "./app/network/bridge-networking.ts";
import { openRegistry } from "./app/registry.ts";
import type { LocalVolumes } from "./app/volume/local-volumes.ts";
import { createNetworking } from "./compose-networking.ts";
import { createVolumes } from "./compose-volumes.ts";
import { createDefaults, runtimeDefaults } from "./container-defaults.ts";
import type { HostFacts } from "./domain/host-facts.ts";
import { containerService } from "./rpc/container-handlers.ts";
import { execService } from "./rpc/exec-handlers.ts";
import { networkHandlers } from "./rpc/network-handlers.ts";
import { systemService } from "./rpc/system-handlers.ts";
import { volumeHandlers } from "./rpc/volume-handlers.ts";

/** The service, ready to be opened and served. */
export interface Composed {
  readonly app: App;
  readonly database: Database;
  /** What is served, once there is a data plane. */
  services(data: DataListener): Implementation[];
  /** Takes a new configuration, as far as it can change while the service runs. */
  reconfigure(config: EngineConfig): void;
  /** Lets go of everything; containers run on. */
  close(): Promise<void>;
}

export async function compose(first: EngineConfig, logger: Logger): Promise<Composed> {
  let config = first;
  const paths = servicePaths(config, "container-service");
  mkdirSync(paths.runDir, { recursive: true, mode: 0o700 });
  const stepping = openStepping(cleanEnvironment());
  const kernel = stepping(loadKernel(), ["mount", "mountOverlay", "bind", "unmount"]);
  const database = await openDatabase(paths.dataDir, logger);
  reserveLogSpace(database.file).catch((error: unknown) => {
    logger.warn({ err: error }, "there is no space for state to come: a full disk will refuse it");
  });
  const store = stepping(openContainerStore(database, config.dataRoot, logger), [
    ...(["insert", "replace", "replaceSurely", "remove"] as const),
  ]);
  const imageChannel = openChannel(servicePaths(config, "image-service").grpcSocket, {
    patienceMs: 2000,
    ttrpc: true,
  });
  const lifetime = new AbortController();
  const { app, networks, volumes } = await openApp({
    config,
    logger,
    kernel,
    database,
    store,
    imageChannel,
    lifetime,
    stepping,
  });
  const reconfigure = (next: EngineConfig): void => {
    app.runtimeDefaults = runtimeDefaults(next, app.host);
    app.createDefaults = createDefaults(next);
    config = next;
    const attributes = { name: app.host.hostname };
    app.store.append([{ type: "daemon", action: "reload", actorId: database.storeId, attributes }]);
  };
  return {
    app,
    database,
    reconfigure,
    services: (data) => [
      containerService(app, data),
      execService(app),
      systemService(app, {
        engineId: database.storeId,
        config: () => config,
        reload: () => {
          reconfigure(loadConfig());
        },
        eventListeners: () => database.log.subscribers(),
      }),
      networkHandlers(networks),
      volumeHandlers(volumes),
      implementEventService(database.log),
    ],
    async close() {
      letGo(app);
      lifetime.abort();
      await app.networking.close();
      await app.shim.close();
      imageChannel.close();
      await database.close();
    },
  };
}

interface Parts {
  readonly config: EngineConfig;
  readonly logger: Logger;
  readonly kernel: Kernel;
  readonly database: Database;
  readonly store: App["store"];
  readonly imageChannel: Channel;
  readonly lifetime: AbortController;
  readonly stepping: Stepping;
}

async function openApp(
  parts: Parts,
): Promise<{ app: App; networks: BridgeNetworking; volumes: LocalVolumes }> {
  const { config, logger, kernel, database, stepping } = parts;
  const { dataDir, runDir } = servicePaths(config, "container-service");
  const registry = openRegistry();
  const metadata = stepping(openMetadataStore(database), ["commit"]);
  const folders = stepping(openContainerFolders(dataDir, kernel, logger), [
    ...(["make", "writeBundle", "remove"] as const),
  ]);
  const host = withAppArmor(readHostFacts(), logger);
  const images = stepping(openImages(parts.imageChannel, logger), ["prepareSnapshot", "discard"]);
  const launchStep = launchFailpoint(cleanEnvironment());
  const shim = createShim({
    runRoot: config.runRoot,
    cacheDir: path.join(dataDir, "cache"),
    logger,
    cgroupParent: config.cgroupParent,
    natsUrlPath: path.join(config.runRoot, "nats.url"),
    onLaunchStep: launchStep,
  });
  const directory = containerDirectory(registry);
  const unpackProgram = nativeArtifact("unpack");
  const volumes = createVolumes({
    dataDir,
    kernel,
    store: metadata,
    images,
    directory,
    unpackProgram,
    logger,
  });
  const networking = await createNetworking({
    options: {
      ...config.network,
      table: config.nftTable,
      linkPrefix: config.linkPrefix,
      // The engine's own prefix stays the same as long as its data lives.
      uniqueLocalSeed: BigInt(`0x${database.storeId.slice(0, 10)}`),
    },
    kernel,
    store: metadata,
    directory,
    folders,
    nameServers: {
      async update(id, { table, changes }) {
        await shim.updateNames({
          id,
          changes: [...changes],
          ...(table === undefined ? {} : { table }),
        });
      },
    },
    relayProgram: nativeArtifact("relay"),
    relaySocketPath: path.join(runDir, "relay.sock"),
    logger,
  });
  const app: App = {
    registry,
    execs: openExecTable(),
    departed: openDeparted(),
    store: parts.store,
    shim,
    networking,
    volumes,
    images,
    logs: openLogFiles(),
    archives: openUnpackProgram({ program: unpackProgram, runDir, kernel }),
    roots: openRootMounts(runDir, kernel, logger),
    folders,
    devices: openHostDevices(),
    host,
    logger,
    runtimeDefaults: runtimeDefaults(config, host),
    createDefaults: createDefaults(config),
    initProgram: nativeArtifact("init"),
    lifetime: parts.lifetime.signal,
    launchStep,
    shuttingDown: false,
  };
  return { app, networks: networking, volumes };
}

/** Without its default profile AppArmor is not used: containers would not start. */
function withAppArmor(host: HostFacts, logger: Logger): HostFacts {
  if (!host.apparmor) return host;
  try {
    ensureDefaultProfile();
    return host;
  } catch (error) {
    logger.error({ err: error }, "AppArmor is not used");
    return { ...host, apparmor: false };
  }
}
