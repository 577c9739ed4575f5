/** Where the build put what native/ makes. */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";

/**
 * Path of a built file, for example `shim` or `Release/gantry.node`. Looked for in
 * `native/build/` of this folder's parents, so that it is found from the sources and from a
 * bundle inside the same tree. Throws when nothing was built.
 */
export function nativeArtifact(name: string): string {
  for (let folder = import.meta.dirname; ; folder = dirname(folder)) {
    const candidate = join(folder, "native", "build", name);
    if (existsSync(candidate)) return candidate;
    if (folder === dirname(folder)) break;
  }
  throw new Error(`native/build/${name} is missing: build native/ first`);
}
