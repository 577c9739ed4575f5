/** A build-service whose builder is scripted. */
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { loadConfig, servicePaths, socketAccess, untilTerminated } from "@gantry/config";
import { createLogger } from "@gantry/logging";
import { loadKernel, nativeArtifact } from "@gantry/native";
import { hostPlatform } from "@gantry/oci";
import { openDataListener, serveGrpc } from "@gantry/rpc";
import { openDownloads } from "../../src/adapters/download/downloads.ts";
import { openArchives } from "../../src/adapters/files/archives.ts";
import { openFileWork } from "../../src/adapters/files/file-work.ts";
import { Activity } from "../../src/app/activity.ts";
import { KeptTrees } from "../../src/buildkit/contexts/kept-trees.ts";
import { openBuildkit } from "../../src/buildkit/front.ts";
import { buildkitHandlers } from "../../src/rpc/buildkit-handlers.ts";
import { ScriptedBuilder } from "./builder.ts";

const config = loadConfig();
const logger = createLogger({ service: "build-service", level: config.logLevel });
const { grpcSocket, dataSocket, dataDir, runDir } = servicePaths(config, "build-service");
const results = path.join(dataDir, "results");
await mkdir(results, { recursive: true });
const trees = new KeptTrees(path.join(dataDir, "contexts"));
const archives = openArchives(nativeArtifact("unpack"));
const front = openBuildkit({
  builder: new ScriptedBuilder(results, trees),
  pusher: { push: () => Promise.reject(new Error("nothing is pushed here")) },
  trees,
  remote: {
    archives,
    downloads: openDownloads(archives),
    files: openFileWork(loadKernel(), new Map()),
    scratchDir: path.join(dataDir, "scratch"),
  },
  policy: [],
  facts: {
    hostname: "scripted",
    platforms: () => [hostPlatform()],
    hostGateway: () => Promise.resolve(undefined),
  },
  runDir,
  historyDir: path.join(dataDir, "history"),
  logger,
});
const activity = new Activity(3600_000, () => undefined);
const access = socketAccess(config);
const data = await openDataListener({ socketPath: dataSocket, logger, access });
const server = await serveGrpc({
  socketPath: grpcSocket,
  services: [buildkitHandlers(front, data, activity)],
  logger,
  access,
});
await untilTerminated();
front.close();
activity.close();
await server.close();
await data.close();
