/** Small images for tests. */
import {
  type LayerEntry,
  type MadeImage,
  makeDockerArchive,
  makeImage,
  makeLayer,
} from "@gantry/testkit/image-maker";

/** The same bytes at any time. */
const sameLayer = (entries: readonly LayerEntry[]): Promise<Uint8Array> =>
  makeLayer(
    entries.map(({ header, ...rest }) => ({ header: { mtime: new Date(0), ...header }, ...rest })),
  );

/** An image of two layers: the second changes and removes files of the first. */
export async function twoLayers(
  config: Readonly<Record<string, unknown>> = {},
): Promise<MadeImage> {
  const lower = await sameLayer([
    { header: { name: "etc/", type: "directory", mode: 0o755 } },
    { header: { name: "etc/keep", mode: 0o644 }, content: "keep" },
    { header: { name: "etc/gone", mode: 0o644 }, content: "gone" },
    { header: { name: "etc/changed", mode: 0o644 }, content: "old" },
  ]);
  const upper = await sameLayer([
    { header: { name: "etc/.wh.gone", mode: 0o644 }, content: "" },
    { header: { name: "etc/changed", mode: 0o600 }, content: "new" },
    { header: { name: "bin/", type: "directory", mode: 0o755 } },
    { header: { name: "bin/tool", mode: 0o4755 }, content: "#!" },
  ]);
  return makeImage({
    layers: [lower, upper],
    config: { Cmd: ["/bin/tool"], Labels: { maker: "test" }, ...config },
  });
}

/** An image of one small layer with this content. */
export async function oneLayer(
  content: string,
  recipe: {
    readonly architecture?: string;
    readonly config?: Readonly<Record<string, unknown>>;
  } = {},
): Promise<MadeImage> {
  const layer = await sameLayer([{ header: { name: "content", mode: 0o644 }, content }]);
  return makeImage({ layers: [layer], ...recipe });
}

/** A docker-archive of one image. */
export async function archiveOf(image: MadeImage, ...tags: string[]): Promise<Uint8Array> {
  return makeDockerArchive([{ image, tags }]);
}
