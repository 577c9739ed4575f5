/** Results as archives: `docker save`'s form and OCI layouts are one tar with both indexes. */
import { familiarName, parseReference } from "@gantry/oci";
import type { ArchiveExport, BuildResult } from "../ports/build.ts";
import type { BuilderParts } from "./builder-parts.ts";
import { storedImage, writeImage } from "./export-image.ts";
import { tarEnd, tarHead, tarPadding } from "./tar-entries.ts";

export async function* exportArchive(
  parts: BuilderParts,
  result: Pick<BuildResult, "platforms">,
  options: ArchiveExport,
  leaseOwner: string,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const written = await writeImage(parts, result, options, leaseOwner, signal);
  try {
    options.onWritten?.(storedImage(written));
    yield* entry("oci-layout", Buffer.from(JSON.stringify({ imageLayoutVersion: "1.0.0" })));
    const { mediaType, digest, sizeBytes: size } = written.target;
    const names = options.names.map((name) => familiarName(parseReference(name)));
    const manifests = (names.length === 0 ? [""] : names).map((name) => ({
      ...{ mediaType, digest, size },
      ...(name !== "" && {
        annotations: {
          "io.containerd.image.name": parts.fullName(name),
          "org.opencontainers.image.ref.name": name.split(":").at(-1) ?? "",
        },
      }),
    }));
    const index = {
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.index.v1+json",
      manifests,
    };
    yield* entry("index.json", Buffer.from(JSON.stringify(index)));
    if (options.format === "docker") {
      const docker = written.manifests.map(({ configDigest, layers }) => ({
        Config: blobPath(configDigest),
        RepoTags: names,
        Layers: layers.map((layer) => blobPath(layer.digest)),
      }));
      yield* entry("manifest.json", Buffer.from(JSON.stringify(docker)));
    }
    const blobs = new Map(written.blobs.map((blob) => [blob.digest, blob.sizeBytes]));
    for (const [blob, bytes] of blobs) {
      yield tarHead(blobPath(blob), bytes);
      yield* parts.layers.readBlob(blob, signal);
      yield tarPadding(bytes);
    }
    yield tarEnd;
  } finally {
    await parts.layers.release(leaseOwner);
  }
}

function blobPath(digest: string): string {
  return `blobs/${digest.replace(":", "/")}`;
}

function* entry(name: string, bytes: Buffer): Generator<Uint8Array> {
  yield tarHead(name, bytes.length);
  yield bytes;
  yield tarPadding(bytes.length);
}
