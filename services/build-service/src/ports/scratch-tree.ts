/** A context's files in a folder of ours. */
import { removeTree } from "@gantry/native";
import type { ContextTree } from "./build-inputs.ts";

/** A folder of ours that goes with its tree. */
export function scratchTree(root: string, folder: string = root): ContextTree {
  return {
    root,
    cacheName: undefined,
    [Symbol.asyncDispose]: () => removeTree(folder),
  };
}
