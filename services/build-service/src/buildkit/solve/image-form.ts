/** What an image is made like, and what clients are told of it. */
import type { ImageExport, StoredImage } from "../../ports/build.ts";
import type { OwnVertex } from "../progress/own-vertex.ts";
import type { ExportContext, ExporterResponse } from "./export-context.ts";
import type { ImageAttributes } from "./image-attributes.ts";

/** How an image is written. @param oci media types that the exporter has where nobody asked for others */
export function imageOptions(
  { attest, inlineCache, sourceDateEpoch, split }: ExportContext,
  names: readonly string[],
  attributes: ImageAttributes & { readonly oci: boolean },
  vertex: OwnVertex,
): ImageExport {
  const open = new Map<string, () => void>();
  const { annotations, oci, compression, level, force, rewriteTimestamp } = attributes;
  const notAfter = rewriteTimestamp ? sourceDateEpoch : undefined;
  return {
    names,
    inlineCache,
    attestations: attest,
    annotations,
    isIndex: split,
    artifacts: attributes.artifacts,
    format: { oci, compression, level, force, notAfter },
    onStep(text, done) {
      if (!open.has(text)) open.set(text, vertex.begin(text, ""));
      if (done) open.get(text)?.();
    },
  };
}

/** What clients are told of an image. @param names as they see them */
export function imageResponse(stored: StoredImage, names: readonly string[]): ExporterResponse {
  const { digest, mediaType, sizeBytes, configDigest } = stored;
  const manifest = stored.manifests.find((each) => each.digest === digest);
  const { architecture, os, variant } = manifest?.platform ?? {};
  const platform = manifest && { platform: { architecture, os, variant } };
  const hasAnnotations = Object.keys(stored.annotations).length > 0;
  const annotations = hasAnnotations && { annotations: stored.annotations };
  const document = { mediaType, digest, size: sizeBytes, ...annotations, ...platform };
  const descriptor = JSON.stringify(document);
  return {
    "containerimage.digest": digest,
    ...(manifest && { "containerimage.config.digest": configDigest }),
    "containerimage.descriptor": Buffer.from(descriptor).toString("base64"),
    ...(names.length > 0 && { "image.name": names.join(",") }),
  };
}
