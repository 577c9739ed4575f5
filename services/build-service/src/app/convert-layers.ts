/** Layers in the form that an export wants: compressed otherwise, or with older times. */
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream, mkdirSync, mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import path from "node:path";
import { PassThrough, Readable, type Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import zlib from "node:zlib";
import { chainIds, parseDigest } from "@gantry/oci";
import {
  type Compression,
  compressionOf,
  type ImageFormat,
  layerType,
} from "../domain/image-format.ts";
import { clampTimes } from "../domain/tar-times.ts";
import type { ExportedLayer } from "../ports/build.ts";
import type { BuilderParts } from "./builder-parts.ts";

/** Layers of one chain, lowest first. New blobs are kept by the lease. */
export async function convertLayers(
  parts: BuilderParts,
  layers: readonly ExportedLayer[],
  format: ImageFormat,
  leaseOwner: string,
  signal: AbortSignal,
): Promise<ExportedLayer[]> {
  const made = new Set(parts.cache.list().map(({ snapshot }) => snapshot));
  const chain = chainIds(layers.map(({ diffId }) => parseDigest(diffId)));
  const converted: ExportedLayer[] = [];
  for (const [index, layer] of layers.entries()) {
    const isMade = made.has(chain[index] ?? "");
    const to = targetOf(layer, isMade, format);
    const blob =
      to === undefined ? layer : await convert(parts, layer, to, format.level, leaseOwner, signal);
    const mediaType = layerType(
      layer.mediaType,
      to?.compression ?? compressionOf(layer.mediaType),
      format.oci,
    );
    converted.push({ ...blob, mediaType });
  }
  return converted;
}

interface Target {
  readonly compression: Compression;
  readonly notAfter: number | undefined;
}

/** Undefined: it is in that form. */
function targetOf(layer: ExportedLayer, isMade: boolean, format: ImageFormat): Target | undefined {
  const { compression, level, force } = format;
  const from = compressionOf(layer.mediaType);
  const to = isMade || force ? (compression ?? from) : from;
  const notAfter = isMade ? format.notAfter : undefined;
  const isOtherLevel = level !== undefined && force;
  if (to === from && notAfter === undefined && !isOtherLevel) return undefined;
  return { compression: to, notAfter };
}

async function convert(
  parts: BuilderParts,
  layer: ExportedLayer,
  { compression, notAfter }: Target,
  level: number | undefined,
  leaseOwner: string,
  signal: AbortSignal,
): Promise<Omit<ExportedLayer, "mediaType">> {
  mkdirSync(parts.scratchDir, { recursive: true, mode: 0o700 });
  const folder = mkdtempSync(path.join(parts.scratchDir, "layer-"));
  try {
    const file = path.join(folder, "blob");
    const diff = createHash("sha256");
    const whole = createHash("sha256");
    let sizeBytes = 0;
    const plain = new PassThrough();
    const blob = Readable.from(parts.layers.readBlob(layer.digest, signal), { objectMode: false });
    const unpacking = pipeline(blob, decompressor(compressionOf(layer.mediaType)), plain, {
      signal,
    });
    const tar =
      notAfter === undefined ? plain : clampTimes(plain as AsyncIterable<Buffer>, notAfter);
    const packing = pipeline(
      tar,
      counted((bytes) => diff.update(bytes)),
      compressor(compression, level),
      counted((bytes) => {
        whole.update(bytes);
        sizeBytes += bytes.length;
      }),
      createWriteStream(file, { mode: 0o600 }),
      { signal },
    );
    await Promise.all([unpacking, packing]);
    const digest = `sha256:${whole.digest("hex")}`;
    await parts.layers.copyBlob(digest, createReadStream(file), leaseOwner, signal);
    return { digest, sizeBytes, diffId: `sha256:${diff.digest("hex")}` };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function counted(see: (bytes: Buffer) => void) {
  return async function* (source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const bytes of source) {
      see(bytes);
      yield bytes;
    }
  };
}

function decompressor(compression: Compression): Transform {
  switch (compression) {
    case "gzip":
      return zlib.createGunzip();
    case "zstd":
      return zlib.createZstdDecompress();
    case "uncompressed":
      return new PassThrough();
  }
}

function compressor(compression: Compression, level: number | undefined): Transform {
  switch (compression) {
    case "gzip":
      return zlib.createGzip({ ...(level !== undefined && { level }) });
    case "zstd": {
      const params = { [zlib.constants.ZSTD_c_compressionLevel]: level ?? 3 };
      return zlib.createZstdCompress({ params });
    }
    case "uncompressed":
      return new PassThrough();
  }
}
