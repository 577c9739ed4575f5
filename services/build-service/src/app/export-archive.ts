/** Results as archives: `docker save`'s form and OCI layouts are one tar with both indexes. */
import { familiarName, mediaTypes, parseReference } from "@gantry/oci";
import type {
  ArchiveExport,
  BuildResult,
  ExportedBlobs,
  ImageExport,
  StoredImage,
} from "../ports/build.ts";
import type { BuilderParts } from "./builder-parts.ts";
import { storedImage, writeKept } from "./export-image.ts";
import { tarEnd, tarFolder, tarHead, tarPadding } from "./tar-entries.ts";

/** Writes a result's blobs, to be read until they are disposed. */
export async function exportBlobs(
  parts: BuilderParts,
  result: Pick<BuildResult, "platforms">,
  options: ImageExport & Partial<Pick<ArchiveExport, "created">>,
  leaseOwner: string,
  signal: AbortSignal,
): Promise<ExportedBlobs> {
  const written = await writeKept(parts, result, options, leaseOwner, signal);
  const created = options.created?.toISOString().replace(/\.\d+Z$/, "Z");
  const annotations = {
    ...written.annotations,
    ...(created !== undefined && { "org.opencontainers.image.created": created }),
  };
  return {
    image: storedImage({ ...written, annotations }),
    blobs: written.blobs,
    read: (digest, until) => parts.layers.readBlob(digest, until),
    [Symbol.asyncDispose]: () => parts.layers.release(leaseOwner),
  };
}

export async function* exportArchive(
  parts: BuilderParts,
  result: Pick<BuildResult, "platforms">,
  options: ArchiveExport,
  leaseOwner: string,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  await using exported = await exportBlobs(parts, result, options, leaseOwner, signal);
  const { image } = exported;
  options.onWritten?.(image);
  yield tarFolder("blobs/");
  yield tarFolder("blobs/sha256/");
  const blobs = new Map(exported.blobs.map((blob) => [blob.digest, blob.sizeBytes]));
  for (const [blob, bytes] of blobs) {
    yield tarHead(blobPath(blob), bytes);
    yield* exported.read(blob, signal);
    yield tarPadding(bytes);
  }
  const names = options.names.map((name) => familiarName(parseReference(name)));
  yield* document("index.json", indexOf(parts, image, names));
  if (options.layout === "docker") yield* document("manifest.json", dockerManifest(image, names));
  yield* document("oci-layout", { imageLayoutVersion: "1.0.0" });
  yield tarEnd;
}

function indexOf(parts: BuilderParts, image: StoredImage, names: readonly string[]): object {
  const descriptor = descriptorOf(image);
  const manifests = (names.length === 0 ? [""] : names).map((name) => ({
    ...descriptor,
    annotations: {
      ...image.annotations,
      ...(name !== "" && {
        "io.containerd.image.name": parts.fullName(name),
        "org.opencontainers.image.ref.name": name.split(":").at(-1) ?? "",
      }),
    },
  }));
  return { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests };
}

/** A single platform's manifest is named with its platform. */
function descriptorOf({ mediaType, digest, sizeBytes: size, manifests }: StoredImage): object {
  const platform = manifests.find((each) => each.digest === digest)?.platform;
  return { mediaType, digest, size, ...(platform && { platform }) };
}

function dockerManifest({ manifests }: StoredImage, names: readonly string[]): object {
  return manifests.map(({ configDigest, layers }) => ({
    Config: blobPath(configDigest),
    RepoTags: names,
    Layers: layers.map((layer) => blobPath(layer.digest)),
  }));
}

function blobPath(digest: string): string {
  return `blobs/${digest.replace(":", "/")}`;
}

function* document(name: string, content: object): Generator<Uint8Array> {
  const bytes = Buffer.from(JSON.stringify(content));
  yield tarHead(name, bytes.length);
  yield bytes;
  yield tarPadding(bytes.length);
}
