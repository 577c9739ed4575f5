/**
 * Documents of the OCI image-spec (and Docker's of the same shape): strict, bounded parsers, whose
 * results are the types. A document comes from a registry or an archive, so everything in it is
 * hostile until it has passed through here.
 */
import { invalidArgument } from "@gantry/errors";
import { type Digest, isDigest } from "./digest.ts";
import { integer, list, object, type Parse, type Parsed, record, string } from "./json-shape.ts";
import { isIndexType, isManifestType } from "./media-types.ts";
import type { Platform } from "./platform.ts";

/** Largest manifest or index that is read: as much as registries take. */
export const maxManifestBytes = 4 * 1024 * 1024;
/** Largest image config that is read. */
export const maxConfigBytes = 8 * 1024 * 1024;
/** Most layers of an image: what overlayfs takes as lower directories. */
export const maxLayers = 500;
/** Most manifests of an index. */
export const maxIndexEntries = 1024;

const digest: Parse<Digest> = (value, at) => {
  const text = string(value, at);
  if (!isDigest(text)) throw invalidArgument(`${at}: is no digest`);
  return text;
};

const sizeBytes: Parse<number> = (value, at) => {
  const size = integer(value, at);
  if (size < 0) throw invalidArgument(`${at}: must not be negative`);
  return size;
};

function atMost<T>(limit: number, parse: Parse<readonly T[]>): Parse<readonly T[]> {
  return (value, at) => {
    if (Array.isArray(value) && value.length > limit) {
      throw invalidArgument(`${at}: holds more than ${limit} entries`);
    }
    return parse(value, at);
  };
}

const platformShape = object(
  { architecture: string, os: string },
  { variant: string, "os.version": string, "os.features": list(string) },
);

const platform: Parse<Platform> = (value, at) => {
  const read = platformShape(value, at);
  return {
    architecture: read.architecture,
    os: read.os,
    ...(read.variant !== undefined && { variant: read.variant }),
    ...(read["os.version"] !== undefined && { osVersion: read["os.version"] }),
    ...(read["os.features"] !== undefined && { osFeatures: read["os.features"] }),
  };
};

const descriptor = object(
  { mediaType: string, digest, size: sizeBytes },
  {
    platform,
    annotations: record(string),
    artifactType: string,
    urls: list(string),
  },
);

/** Names a blob: type, digest and size. */
export type Descriptor = Parsed<typeof descriptor>;

const manifest = object(
  { config: descriptor },
  {
    schemaVersion: integer,
    mediaType: string,
    layers: atMost(maxLayers, list(descriptor)),
    annotations: record(string),
    artifactType: string,
    subject: descriptor,
  },
);

const index = object(
  { manifests: atMost(maxIndexEntries, list(descriptor)) },
  {
    schemaVersion: integer,
    mediaType: string,
    annotations: record(string),
    artifactType: string,
    subject: descriptor,
  },
);

/** One platform's image: its config and layers, lowest first. */
export interface Manifest extends Omit<Parsed<typeof manifest>, "layers"> {
  readonly kind: "manifest";
  readonly layers: readonly Descriptor[];
}

/** A list of manifests, one for each platform, and what belongs to them. */
export interface Index extends Parsed<typeof index> {
  readonly kind: "index";
}

const historyEntry = object(
  {},
  {
    created: string,
    created_by: string,
    author: string,
    comment: string,
    // true or false; anything else counts as false, as Go's zero value would.
    empty_layer: (value: unknown): boolean => value === true,
  },
);

/** One step of an image's history. */
export type HistoryItem = Parsed<typeof historyEntry>;

const containerConfig = object(
  {},
  {
    User: string,
    ExposedPorts: record(object({}, {})),
    Env: list(string),
    Entrypoint: list(string),
    Cmd: list(string),
    Volumes: record(object({}, {})),
    WorkingDir: string,
    Labels: record(string),
    StopSignal: string,
  },
);

const layerList = atMost(maxLayers, list(digest));

/** Go writes null for the list of an image without layers. */
const diffIds: Parse<readonly Digest[]> = (value, at) =>
  value === null ? [] : layerList(value, at);

const imageConfig = object(
  { rootfs: object({ diff_ids: diffIds }, { type: string }) },
  {
    created: string,
    author: string,
    architecture: string,
    os: string,
    "os.version": string,
    "os.features": list(string),
    variant: string,
    config: containerConfig,
    history: atMost(4096, list(historyEntry)),
  },
);

/** An image config, as far as the engine acts on it. The blob itself is kept as it came. */
export type ImageConfig = Parsed<typeof imageConfig>;

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** A JSON document of at most `limit` bytes. Throws invalid_argument. */
export function parseDocument(bytes: Uint8Array, what: string, limit: number): unknown {
  if (bytes.length > limit) throw invalidArgument(`${what} is larger than ${limit} bytes`);
  try {
    return JSON.parse(utf8.decode(bytes));
  } catch (error) {
    throw invalidArgument(`${what} is not valid JSON`, { cause: error });
  }
}

/**
 * Reads a manifest or an index. What it is, its members say; `mediaType` (of the descriptor or the
 * Content-Type header) and the document's own must agree with them, so that one digest can never
 * mean two things (GHSA-mc8v-mgrf-8f4m). Throws invalid_argument.
 */
export function parseManifestOrIndex(bytes: Uint8Array, mediaType: string): Manifest | Index {
  const value = parseDocument(bytes, "manifest", maxManifestBytes);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw invalidArgument("manifest: must be an object");
  }
  const members = value as Readonly<Record<string, unknown>>;
  const listed = members["manifests"] !== undefined;
  const single = members["layers"] !== undefined || members["config"] !== undefined;
  if (listed && single) {
    throw invalidArgument("manifest: has both layers and manifests");
  }
  if ("fsLayers" in members) {
    throw invalidArgument("manifest: schema 1 is not supported");
  }
  const document: Manifest | Index = listed
    ? { ...index(value, "manifest"), kind: "index" }
    : { layers: [], ...manifest(value, "manifest"), kind: "manifest" };
  checkTypes(document, mediaType);
  return document;
}

function checkTypes(document: Manifest | Index, expected: string): void {
  // 0 is what Go writes where nobody has said anything.
  if (![undefined, 0, 2].includes(document.schemaVersion)) {
    throw invalidArgument(
      `manifest: schema version ${String(document.schemaVersion)} is not supported`,
    );
  }
  const fits = document.kind === "index" ? isIndexType : isManifestType;
  for (const type of [document.mediaType, expected]) {
    if (type !== undefined && type !== "" && !fits(type)) {
      throw invalidArgument(
        `manifest: is an image ${document.kind}, but its media type is ${type}`,
      );
    }
  }
  const own = document.mediaType;
  if (own !== undefined && own !== "" && expected !== "" && own !== expected) {
    throw invalidArgument(`manifest: media type is ${own}, but ${expected} was announced`);
  }
}

/** Reads an image config. Throws invalid_argument. */
export function parseImageConfig(bytes: Uint8Array): ImageConfig {
  return imageConfig(parseDocument(bytes, "image config", maxConfigBytes), "image config");
}

/** The platform that a config says it is for. */
export function configPlatform(config: ImageConfig): Platform {
  return {
    architecture: config.architecture ?? "",
    os: config.os ?? "",
    ...(config.variant !== undefined && { variant: config.variant }),
    ...(config["os.version"] !== undefined && { osVersion: config["os.version"] }),
    ...(config["os.features"] !== undefined && { osFeatures: config["os.features"] }),
  };
}
