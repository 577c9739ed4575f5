/** The FileWork port. */
import type { PathKernel } from "@gantry/native";
import { MissingSource } from "../../domain/build-failure.ts";
import type { BuildCache } from "../../ports/build-cache.ts";
import type { FileWork } from "../../ports/file-work.ts";
import { sumOfSource } from "./content-sum.ts";
import { copyFiles, makeDirectories } from "./copy-files.ts";
import { findOwner } from "./find-owner.ts";
import { placeIn } from "./in-root.ts";
import { matchSources } from "./match-sources.ts";
import { tarSums } from "./tar-sums.ts";

export function openFileWork(kernel: PathKernel, sums: BuildCache["fileSums"]): FileWork {
  return {
    async copy({ from, toRoot, destination, ...options }) {
      await copyFiles(from, toRoot, destination, { ...options, kernel });
    },
    plainFiles: (root, path) =>
      matchSources(root, path, false).flatMap(({ place }) =>
        place.stat?.isFile() ? [place.path] : [],
      ),
    count: (root, path) => matchSources(root, path, false).length,
    sum: (root, path, options) => sumOfSource(root, path, { ...options, sums }),
    tarSums,
    makeDirectories,
    findOwner,
    find(root, path) {
      const place = placeIn(root, path, true);
      if (place.stat === undefined) throw new MissingSource(path);
      return place.path;
    },
  };
}
