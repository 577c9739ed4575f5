/** Images → Docker's JSON. */
import type { HistoryEntry, Image, ImageManifest } from "@gantry/proto/image";
import { snapshotter } from "./container-inspect.ts";
import { encodeDescriptor, encodePlatform } from "./descriptor.ts";
import { encodeImageConfig, parseImageConfig } from "./image-config.ts";
import { type JsonOut, nullIfEmpty, sorted, toJson, unlessEmpty } from "./json.ts";
import { rfc3339, unixSeconds, zeroTime } from "./time.ts";
import { opened } from "./version-gates.ts";

/** Options of a list. */
export interface ImageListView {
  readonly version: number;
  /** Containers that use an image; undefined: not counted (-1). */
  readonly countContainers: ((imageId: string) => number) | undefined;
  readonly manifests: boolean;
  /** IDs of the containers that use a manifest. */
  readonly containersOf?: ContainersOf | undefined;
}

/** IDs of the containers that use a manifest, by its digest. */
export type ContainersOf = (manifest: string) => readonly string[];

/** Encodes one row of GET /images/json. */
export function encodeImageSummary(image: Image, view: ImageListView): JsonOut {
  return {
    Containers: view.countContainers?.(image.id) ?? -1,
    ...summaryOf(image, view.version),
    Manifests: view.manifests ? encodeManifests(image, view.containersOf) : undefined,
  };
}

/** A row as text, but for the number of its users. */
export interface ImageRow {
  readonly id: string;
  /** The row's JSON, without manifests. @param containers how many use the image; -1: not counted */
  json(containers: number): string;
}

/** Encodes one row as far as it stays the same. */
export function imageRow(image: Image, version: number): ImageRow {
  const rest = toJson(summaryOf(image, version)).slice(1);
  return { id: image.id, json: (containers) => `{"Containers":${String(containers)},${rest}` };
}

function summaryOf(image: Image, version: number): Record<string, JsonOut> {
  return {
    Created: unixSeconds(image.createdNano),
    Id: image.id,
    Labels: Object.keys(image.labels).length === 0 ? null : sorted(image.labels),
    ParentId: image.parentId,
    RepoDigests: namesOrNone(image.repoDigests, "<none>@<none>", image, version),
    RepoTags: namesOrNone(image.repoTags, "<none>:<none>", image, version),
    SharedSize: image.sharedSizeBytes,
    Size: image.sizeBytes,
    VirtualSize: opened("noVirtualSize", version) ? undefined : image.sizeBytes,
    Descriptor:
      opened("descriptors", version) && image.target ? encodeDescriptor(image.target) : undefined,
  };
}

/** Old clients expect a placeholder where an image has no name at all. */
function namesOrNone(
  names: readonly string[],
  placeholder: string,
  image: Image,
  version: number,
): readonly string[] {
  const dangling = image.repoTags.length === 0 && image.repoDigests.length === 0;
  return dangling && !opened("untaggedEmpty", version) ? [placeholder] : names;
}

/** All manifests of an image. */
function encodeManifests(image: Image, containersOf: ContainersOf = () => []): JsonOut {
  return image.manifests.map((each) => encodeManifest(each, containersOf(each.id)));
}

function encodeManifest(manifest: ImageManifest, containers: readonly string[]): JsonOut {
  return {
    ID: manifest.id,
    Descriptor: manifest.descriptor ? encodeDescriptor(manifest.descriptor) : null,
    Available: manifest.available,
    Size: {
      Content: manifest.contentSizeBytes,
      Total: manifest.contentSizeBytes + manifest.unpackedSizeBytes,
    },
    Kind: manifest.kind,
    ImageData:
      manifest.kind === "image"
        ? {
            Platform: manifest.platform ? encodePlatform(manifest.platform) : null,
            Size: { Unpacked: manifest.unpackedSizeBytes },
            Containers: containers,
          }
        : undefined,
    AttestationData: manifest.kind === "attestation" ? { For: manifest.attestationFor } : undefined,
  };
}

/** Encodes the answer of GET /images/{name}/json. */
export function encodeImage(
  image: Image,
  version: number,
  manifests: boolean,
  containersOf?: ContainersOf,
): JsonOut {
  const config = parseImageConfig(image.configJson);
  const terse = opened("omitEmptyImageFields", version);
  const text = (value: string): string | undefined => (terse ? unlessEmpty(value) : value);
  return {
    Id: image.id,
    RepoTags: image.repoTags,
    RepoDigests: image.repoDigests,
    Parent: text(image.parentId),
    Comment: text(config.comment),
    Created: created(image, version),
    ...legacyContainer(image, version),
    DockerVersion: text(config.dockerVersion),
    Author: text(config.author),
    Config: encodeImageConfig(config.config, version),
    Architecture: image.platform?.architecture ?? "",
    Variant: unlessEmpty(image.platform?.variant ?? ""),
    Os: image.platform?.os ?? "",
    OsVersion: unlessEmpty(image.platform?.osVersion ?? ""),
    Size: image.sizeBytes,
    VirtualSize: opened("noVirtualSize", version) ? undefined : image.sizeBytes,
    GraphDriver: opened("storage", version) ? undefined : { Data: null, Name: snapshotter },
    RootFS: { Type: "layers", Layers: image.diffIds.length === 0 ? undefined : image.diffIds },
    Metadata: { LastTagTime: rfc3339(image.lastTaggedNano) },
    Descriptor:
      opened("descriptors", version) && image.target ? encodeDescriptor(image.target) : undefined,
    Manifests:
      manifests && opened("descriptors", version)
        ? encodeManifests(image, containersOf)
        : undefined,
  };
}

function created(image: Image, version: number): string | undefined {
  if (image.createdNano !== 0n) return rfc3339(image.createdNano);
  return opened("noCreatedWhenAbsent", version) ? undefined : zeroTime;
}

/** Old compose reads these of the image that it is about to replace. */
function legacyContainer(image: Image, version: number): Record<string, JsonOut> {
  if (opened("noContainerConfig", version)) return {};
  const { config } = parseImageConfig(image.configJson);
  return { Container: "", ContainerConfig: encodeImageConfig(config, version) };
}

/** Encodes one step of GET /images/{name}/history. */
export function encodeHistory(entry: HistoryEntry): JsonOut {
  return {
    Comment: entry.comment,
    Created: unixSeconds(entry.createdNano),
    CreatedBy: entry.createdBy,
    Id: entry.id,
    Size: entry.sizeBytes,
    Tags: nullIfEmpty(entry.tags),
  };
}
