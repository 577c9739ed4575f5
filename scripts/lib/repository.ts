/** Where things are in this repository. */
import path from "node:path";

/** The repository's root. */
export const root = path.resolve(import.meta.dirname, "../..");

/** The pinned Node's package: `bin/node` and, for node-gyp, `include/`. */
export const nodeDir = path.join(root, `node_modules/node-linux-${process.arch}`);

/** The pinned Node. */
export const node = path.join(nodeDir, "bin/node");

/** A path inside the repository. */
export const inRoot = (...parts: string[]): string => path.join(root, ...parts);

/** A program of an npm package. */
export const npmProgram = (name: string): string => inRoot("node_modules/.bin", name);
