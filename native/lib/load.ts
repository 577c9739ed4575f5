/** The only place that loads the addon. */
import { createRequire } from "node:module";

import { nativeArtifact } from "./artifacts.ts";
import type { Kernel } from "./kernel.ts";

let loaded: Kernel | undefined;

/** The real kernel. Loaded at the first call; throws when the addon was not built. */
export function loadKernel(): Kernel {
  loaded ??= createRequire(import.meta.url)(nativeArtifact("Release/gantry.node")) as Kernel;
  return loaded;
}
