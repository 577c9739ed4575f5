/** The 5-layer, 300 MB image of the pull row: files of this machine, so that they compress as real ones do. */
import { readdir, readFile, stat } from "node:fs/promises";
import path from "node:path";
import type { LayerEntry, MadeImage } from "@gantry/testkit/image-maker";
import { makeImage, makeLayer } from "@gantry/testkit/image-maker";

const layerCount = 5;
const layerBytes = 60 * 1024 * 1024;

/** Makes the image from what lies below `roots`, in a fixed order. */
export async function makeBigImage(
  roots: readonly string[] = ["/usr/lib", "/usr/share", "/usr/bin"],
): Promise<MadeImage> {
  const layers: Uint8Array[] = [];
  let entries: LayerEntry[] = [];
  let bytes = 0;
  for await (const file of walk(roots)) {
    const content = await readFile(file);
    entries.push({ header: { name: file.slice(1), mode: 0o644 }, content });
    bytes += content.length;
    if (bytes < layerBytes) continue;
    layers.push(await makeLayer(entries));
    if (layers.length === layerCount) return makeImage({ layers });
    entries = [];
    bytes = 0;
  }
  throw new Error("this machine has too few files for the 300 MB image");
}

async function* walk(roots: readonly string[]): AsyncGenerator<string> {
  for (const root of roots) {
    for (const entry of (await readdir(root, { withFileTypes: true })).sort((a, b) =>
      a.name < b.name ? -1 : 1,
    )) {
      const full = path.join(root, entry.name);
      if (entry.isDirectory()) yield* walk([full]);
      else if (entry.isFile() && (await stat(full)).size < 4 * 1024 * 1024) yield full;
    }
  }
}
