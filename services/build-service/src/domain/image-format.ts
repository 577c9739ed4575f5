/** The forms that an exported image can have: media types of its documents, compression of its layers. */
import { mediaTypes } from "@gantry/oci";

export type Compression = "gzip" | "zstd" | "uncompressed";

/** What an export says of its form. */
export interface ImageFormat {
  /** OCI's media types, in place of Docker's. */
  readonly oci: boolean;
  /** Undefined: layers stay as they are. */
  readonly compression: Compression | undefined;
  /** Undefined: the program's own. */
  readonly level: number | undefined;
  /** Layers that were there before the build are compressed so, too. */
  readonly force: boolean;
  /** Seconds since the epoch; files that the build made are not younger. Undefined: they keep their times. */
  readonly notAfter: number | undefined;
}

/** Media types of an image's documents. */
export const documentTypes = {
  oci: {
    index: mediaTypes.ociIndex,
    manifest: mediaTypes.ociManifest,
    config: mediaTypes.ociConfig,
  },
  docker: {
    index: mediaTypes.dockerList,
    manifest: mediaTypes.dockerManifest,
    config: mediaTypes.dockerConfig,
  },
} as const;

export type DocumentTypes = (typeof documentTypes)["oci" | "docker"];

/** How a layer of a media type is compressed. */
export function compressionOf(mediaType: string): Compression {
  const [, name] = /\.tar[+.](gzip|zstd)$/.exec(mediaType) ?? [];
  return name === "gzip" || name === "zstd" ? name : "uncompressed";
}

/** The media type of a layer of that compression, among OCI's or Docker's; one that is not to be pushed stays so. */
export function layerType(mediaType: string, compression: Compression, oci: boolean): string {
  const foreign = /\.nondistributable\.|\.foreign\./.test(mediaType);
  const end = compression === "uncompressed" ? "" : compression;
  if (oci) {
    const kind = foreign ? "nondistributable." : "";
    return `application/vnd.oci.image.layer.${kind}v1.tar${end && `+${end}`}`;
  }
  const kind = foreign ? "foreign." : "";
  return `application/vnd.docker.image.rootfs.${kind}diff.tar${end && `.${end}`}`;
}
