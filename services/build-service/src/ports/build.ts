/** The builder as front ends see it: a Dockerfile with inputs becomes file system trees with configs. */

import type { Platform } from "@gantry/oci";
import type { LineRange } from "../domain/dockerfile/syntax-error.ts";
import type { ImageConfigDocument } from "../domain/image-config.ts";
import type { ImageFormat } from "../domain/image-format.ts";
import type { Vertex } from "../domain/solver/vertex.ts";
import type { BuildInputs, ContextRequest, Credential } from "./build-inputs.ts";
import type { LeftContainers } from "./containers.ts";
import type { LintReport, Outline, TargetFacts } from "./dockerfile-facts.ts";
import type { PullStep } from "./layers.ts";
import type { ProgressSink } from "./progress.ts";

/** Limits for the containers of RUN. 0 and empty: not given. */
export interface RunLimits {
  readonly memoryBytes: number;
  /** -1: unlimited swap. */
  readonly memorySwapBytes: number;
  readonly cpuShares: number;
  readonly cpuPeriodUs: number;
  readonly cpuQuotaUs: number;
  readonly cpusetCpus: string;
  readonly cpusetMems: string;
  readonly cgroupParent: string;
  /** Bytes of /dev/shm. */
  readonly shmSizeBytes: number;
  readonly ulimits: readonly {
    readonly name: string;
    readonly soft: number;
    readonly hard: number;
  }[];
}

/** What to build. */
export interface BuildRequest {
  /** ID of the build, unique; `cancel` and logs use it. */
  readonly id: string;
  /** Stage name or index; empty: the last one. */
  readonly target: string;
  /** Build arguments; undefined value: declared without a value (the argument then stays unset). */
  readonly buildArgs: ReadonlyMap<string, string | undefined>;
  /** Labels put on the result after all instructions. */
  readonly labels: ReadonlyMap<string, string>;
  /** Empty: the host's. One result each. */
  readonly platforms: readonly Platform[];
  readonly noCache: boolean;
  /** Stages (in lower case) whose cache is passed over. */
  readonly noCacheStages: readonly string[];
  /** Ask the registry for base images even when they are here. */
  readonly pull: boolean;
  /** `default`, `none`, `host` or a network, for RUN without --network. `host` needs the entitlement. */
  readonly networkMode: string;
  /** Entitlements granted by client and engine: `network.host`, `security.insecure`. */
  readonly entitlements: readonly string[];
  /** `name:address` for /etc/hosts of RUN. */
  readonly extraHosts: readonly string[];
  readonly hostname: string;
  /** Of steps that are given none, which does not count for the cache; empty: their container's ID. */
  readonly defaultHostname: string;
  readonly limits: RunLimits;
  /** Namespace of cache mounts (BUILDKIT_CACHE_MOUNT_NS). */
  readonly cacheMountNamespace: string;
  /** Seconds since the epoch that times in the result are set to; undefined: now. */
  readonly sourceDateEpoch: number | undefined;
  /** Containers of steps that are left, for whoever reports the steps to keep or remove. */
  readonly leave: LeftContainers;
  /** Prefer stages side by side and pruned (BuildKit), or every stage up to the target in order (classic). */
  readonly order: "parallel" | "sequential";
}

/** One finished image of a build: a chain of layers and what goes with it. */
export interface PlatformResult {
  readonly platform: Platform;
  /** Key of the topmost snapshot; empty: `scratch` without anything in it. */
  readonly snapshot: string;
  /** Image config with history, without rootfs and times of creation: exporting fills them. */
  readonly config: ImageConfigDocument;
  /** Cache keys of the steps that made it, for an inline cache; a step's layer may be gone by then. */
  readonly cacheKeys: readonly string[];
  /** What it was made by; undefined: not known. */
  readonly tree?: Vertex;
}

/** What a build made. It and all it refers to is kept until disposed. */
export interface BuildResult extends AsyncDisposable {
  readonly platforms: readonly PlatformResult[];
  /** Base images and files that went in, for provenance. */
  readonly materials: readonly BuildMaterial[];
  /** Cache keys of all steps that took part, also in stages that a result only copies from. */
  readonly stepKeys: readonly string[];
  /** What was asked for of contexts, by their names; the main one's is empty. */
  readonly contexts?: ReadonlyMap<string, ContextRequest>;
}

/** Something that went into a build from outside. */
export interface BuildMaterial {
  /** `pkg:docker/...` or a URL. */
  readonly uri: string;
  /** `sha256:<hex>`; empty: not known. */
  readonly digest: string;
}

/** Where in a Dockerfile a build failed. */
export interface ErrorPlace {
  readonly file: string;
  /** The whole file. */
  readonly source: Uint8Array;
  readonly lines: LineRange;
  /** Other places, told before. */
  readonly before?: readonly LineRange[];
}

/**
 * What builds throw for their own failures. `message` is BuildKit's text without `failed to solve: `;
 * excerpts are made from `place`.
 */
export class BuildError extends Error {
  override readonly name = "BuildError";
  readonly place: ErrorPlace | undefined;
  /** Digest of the vertex at fault; empty: none. */
  readonly vertex: string;
  /** Exit code of a RUN; undefined: it was something else. */
  readonly exitCode: number | undefined;
  /** The command of a RUN that failed, as one text (`/bin/sh -c make`); empty: something else failed. */
  readonly command: string;

  constructor(
    message: string,
    options: {
      readonly place?: ErrorPlace | undefined;
      readonly vertex?: string | undefined;
      readonly exitCode?: number | undefined;
      readonly command?: string | undefined;
      readonly cause?: unknown;
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.place = options.place;
    this.vertex = options.vertex ?? "";
    this.exitCode = options.exitCode;
    this.command = options.command ?? "";
  }
}

/** A layer of an image. */
export interface ExportedLayer {
  readonly mediaType: string;
  readonly digest: string;
  readonly sizeBytes: number;
  readonly diffId: string;
}

/** An image whose blobs are in the content store, held until the result is disposed. */
export interface ExportedManifest {
  readonly platform: Platform;
  readonly mediaType: string;
  readonly digest: string;
  readonly sizeBytes: number;
  readonly configDigest: string;
  readonly layers: readonly ExportedLayer[];
}

/** An in-toto statement to attach to an image (provenance). */
export interface Attestation {
  readonly predicateType: string;
  /** The statement's bytes, as JSON. */
  readonly statement: Uint8Array;
}

/** What an annotation is put on. */
export type AnnotationPlace = "manifest" | "manifest-descriptor" | "index" | "index-descriptor";

/** An annotation of an image. */
export interface ImageAnnotation {
  readonly place: AnnotationPlace;
  /** Undefined: all. */
  readonly platform: Platform | undefined;
  readonly key: string;
  readonly value: string;
}

/** How an image is stored. */
export interface ImageExport {
  /** References with tag; empty: an untagged image. */
  readonly names: readonly string[];
  /** Repositories in which the image is called by its digest. Default none. */
  readonly digestNames?: readonly string[];
  /** Made for each platform's manifest; undefined: the image of one platform is a plain manifest. */
  readonly attestations: ((manifest: ExportedManifest) => readonly Attestation[]) | undefined;
  readonly annotations: readonly ImageAnnotation[];
  /** An index, even of one manifest. Default false. */
  readonly isIndex?: boolean;
  /** Attestations are OCI artifacts that refer to their image. Default false. */
  readonly artifacts?: boolean;
  /** Attestations need OCI's media types, whatever it says. */
  readonly format: ImageFormat;
  /** Called as each part is done: `exporting layers`, `exporting manifest sha256:…`. */
  readonly onStep: (text: string, done: boolean) => void;
  /** Whether the image's config tells which steps its layers are. Default false. */
  readonly inlineCache?: boolean;
}

/** How an image is written as an archive. */
export interface ArchiveExport extends ImageExport {
  readonly layout: "docker" | "oci";
  /** When it was made, for what names it. */
  readonly created: Date;
  /** Called before the first byte. */
  readonly onWritten?: (image: StoredImage) => void;
}

/** A cache in a registry, or in the config of an image there or here. */
export interface RegistryCache {
  readonly kind: "registry";
  readonly reference: string;
  readonly credential: (host: string) => Promise<Credential | undefined>;
  readonly onPull: (step: PullStep) => void;
}

/** A cache whose blobs somebody has. */
export interface BlobCache {
  readonly kind: "blobs";
  /** For messages. */
  readonly name: string;
  /** Digest of the index. */
  readonly digest: string;
  /** Throws not_found. Whoever reads checks the digest. */
  readonly read: (digest: string, signal: AbortSignal) => AsyncIterable<Uint8Array>;
}

/** A cache that is to be used. */
export type CacheImport = RegistryCache | BlobCache;

/** How a result's cache is written. */
export interface CacheExport {
  /** Steps whose layers a result has, or all steps that took part. */
  readonly mode: "min" | "max";
}

/** A blob of a written cache. */
export interface WrittenBlob {
  readonly mediaType: string;
  readonly digest: string;
  readonly sizeBytes: number;
}

/** A cache whose blobs are in the content store until it is disposed. */
export interface WrittenCache extends AsyncDisposable {
  /** The index. */
  readonly target: WrittenBlob;
  /** All blobs, the index last: each after what it refers to. */
  readonly blobs: readonly WrittenBlob[];
  read(digest: string, signal: AbortSignal): AsyncIterable<Uint8Array>;
}

/** An image that is nowhere but in the content store, until it is disposed. */
export interface ExportedBlobs extends AsyncDisposable {
  readonly image: StoredImage;
  /** All blobs, each after what it refers to. */
  readonly blobs: readonly WrittenBlob[];
  read(digest: string, signal: AbortSignal): AsyncIterable<Uint8Array>;
}

/** A stored image. */
export interface StoredImage {
  /** Digest of the manifest or index: the image's ID. */
  readonly digest: string;
  readonly mediaType: string;
  readonly sizeBytes: number;
  /** Of the descriptor that names it. */
  readonly annotations: Readonly<Record<string, string>>;
  /** Config of the only, or the first, platform. */
  readonly configDigest: string;
  readonly manifests: readonly ExportedManifest[];
}

/** A tree that can be read until disposed. */
export interface MountedResult extends AsyncDisposable {
  /** Absolute path, read-only. */
  readonly root: string;
}

/** One record of the build cache. */
export interface CacheRecord {
  readonly id: string;
  readonly parents: readonly string[];
  /** `regular`, `internal`, `frontend`, `source.local`, `source.git.checkout` or `exec.cachemount`. */
  readonly type: string;
  readonly description: string;
  readonly inUse: boolean;
  readonly shared: boolean;
  readonly mutable: boolean;
  readonly sizeBytes: number;
  readonly createdNano: bigint;
  /** 0: never. */
  readonly lastUsedNano: bigint;
  readonly usageCount: number;
}

/** What to prune. */
export interface PruneRequest {
  /** Also internal, frontend and shared records. */
  readonly all: boolean;
  /** Records for which this is false stay. */
  readonly matches: (record: CacheRecord) => boolean;
  /** Records used within this time stay. Milliseconds, 0 = no such limit. */
  readonly keepDurationMs: number;
  /** Delete only until the cache is under this. Bytes, 0 = no such limit. */
  readonly maxUsedBytes: number;
  /** Never below this. Bytes. */
  readonly reservedBytes: number;
  /** Delete only until so much is free on the disk. Bytes, 0 = no such limit. */
  readonly minFreeBytes: number;
}

/** The builder. All methods throw BuildError, or EngineError for failures of the engine. */
export interface Builder {
  /** Builds. Equal steps of builds that run at once are done once. Cancelled by the signal. */
  build(
    request: BuildRequest,
    inputs: BuildInputs,
    progress: ProgressSink,
    signal: AbortSignal,
  ): Promise<BuildResult>;
  /** Parameters that a request's target takes. Builds nothing. */
  outline(
    request: BuildRequest,
    inputs: BuildInputs,
    progress: ProgressSink,
    signal: AbortSignal,
  ): Promise<Outline>;
  /** The stages of a Dockerfile. Throws BuildError. */
  targets(inputs: BuildInputs): TargetFacts[];
  /** What the checks of Dockerfiles find, of all stages when no target is named. Builds nothing. */
  lint(
    request: BuildRequest,
    inputs: BuildInputs,
    progress: ProgressSink,
    signal: AbortSignal,
  ): Promise<LintReport>;
  /** Stores a result as an image of the engine. */
  exportImage(
    result: Pick<BuildResult, "platforms">,
    options: ImageExport,
    signal: AbortSignal,
  ): Promise<StoredImage>;
  /**
   * Writes a result as an archive (`docker save`'s form, or an OCI layout), without naming it in the engine.
   */
  exportArchive(
    result: Pick<BuildResult, "platforms">,
    options: ArchiveExport,
    signal: AbortSignal,
  ): AsyncIterable<Uint8Array>;
  /** Writes a result's blobs, readable until they are disposed, without naming it in the engine. */
  exportBlobs(
    result: Pick<BuildResult, "platforms">,
    options: ImageExport & Partial<Pick<ArchiveExport, "created">>,
    signal: AbortSignal,
  ): Promise<ExportedBlobs>;
  /** Mounts the tree of one platform's result for reading: directory exports. */
  mount(result: PlatformResult, signal: AbortSignal): Promise<MountedResult>;
  /** Writes trees as a tar, each in a folder of that name; empty: at the top. */
  exportTrees(
    trees: readonly { readonly result: PlatformResult; readonly folder: string }[],
    signal: AbortSignal,
  ): AsyncIterable<Uint8Array>;
  /** Makes another cache part of ours. Throws when there is none. */
  importCache(source: CacheImport, signal: AbortSignal): Promise<void>;
  /** Writes the cache of a result. Undefined: no step of it made a layer. */
  exportCache(
    result: BuildResult,
    options: CacheExport,
    signal: AbortSignal,
  ): Promise<WrittenCache | undefined>;
  /** Records of the cache. */
  diskUsage(signal: AbortSignal): Promise<readonly CacheRecord[]>;
  /** Deletes records; yields each. */
  prune(request: PruneRequest, signal: AbortSignal): AsyncIterable<CacheRecord>;
}
