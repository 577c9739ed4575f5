/** The Builder port over its use cases. */
import { randomUUID } from "node:crypto";
import type { Builder } from "../ports/build.ts";
import { lintBuild, outlineBuild, targetsOfDockerfile } from "./ask-dockerfile.ts";
import type { BuilderParts } from "./builder-parts.ts";
import { listRecords, pruneRecords } from "./cache-records.ts";
import { exportArchive, exportBlobs } from "./export-archive.ts";
import { exportCache } from "./export-cache.ts";
import { exportImage } from "./export-image.ts";
import { importCache } from "./import-cache.ts";
import { currentKey } from "./pack-layers.ts";
import { runBuild } from "./run-build.ts";
import { tarEnd, withoutEnd } from "./tar-entries.ts";

export function createBuilder(parts: BuilderParts): Builder {
  const newLease = (): string => `build-export-${randomUUID()}`;
  return {
    build: (request, inputs, progress, signal) =>
      runBuild(parts, request, inputs, progress, signal),
    outline: (request, inputs, progress, signal) =>
      outlineBuild(parts, request, inputs, progress, signal),
    targets: targetsOfDockerfile,
    lint: (request, inputs, progress, signal) =>
      lintBuild(parts, request, inputs, progress, signal),
    exportImage: (result, options, signal) =>
      exportImage(parts, result, options, newLease(), signal),
    exportArchive: (result, options, signal) =>
      exportArchive(parts, result, options, newLease(), signal),
    exportBlobs: (result, options, signal) =>
      exportBlobs(parts, result, options, newLease(), signal),
    exportCache: (result, options, signal) =>
      exportCache(parts, result, options, newLease(), signal),
    importCache: (source, signal) => importCache(parts, source, signal),
    mount: async ({ snapshot }, signal) =>
      await parts.layers.read(await currentKey(parts, snapshot), signal),
    async *exportTrees(trees, signal) {
      for (const { result, folder } of trees) {
        const key = await currentKey(parts, result.snapshot);
        await using tree = await parts.layers.read(key, signal);
        yield* withoutEnd(parts.archives.pack(tree.root, folder, signal));
      }
      yield tarEnd;
    },
    diskUsage: (signal) => listRecords(parts, signal),
    prune: (request, signal) => pruneRecords(parts, request, signal),
  };
}
