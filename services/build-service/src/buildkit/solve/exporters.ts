/** What is made of a result: images, archives, folders. */
import { invalidArgument } from "@gantry/errors";
import {
  canonicalName,
  formatPlatform,
  parseReference,
  type Reference,
  withDefaultTag,
} from "@gantry/oci";
import type {
  ArchiveExport,
  Builder,
  BuildResult,
  ImageExport,
  PlatformResult,
  StoredImage,
  WrittenBlob,
} from "../../ports/build.ts";
import type { ProgressSink } from "../../ports/progress.ts";
import { asVertex, type OwnVertex, TransferLine } from "../progress/own-vertex.ts";
import { ClientStore } from "../session/content-store.ts";
import { sendFile, sendFolders } from "../session/send-file.ts";
import type { Session } from "../session/session.ts";
import { codes, toWireFailure, WireFailure } from "../wire/failure.ts";
import { csvFields } from "./csv.ts";
import { type ImageAttributes, readImageAttributes } from "./image-attributes.ts";
import { folderOf } from "./platform-folder.ts";
import type { AttestationMaker } from "./provenance.ts";

/** An exporter that a client asked for. */
export interface ExporterRequest {
  readonly type: string;
  readonly attrs: Readonly<Record<string, string>>;
}

/** Pushes what the engine has. */
export interface ImagePusher {
  /** Pushes one; throws what the registry says. */
  push(
    reference: string,
    options: {
      readonly session: Session;
      readonly vertex: OwnVertex;
      /** What to push, which need not be an image; absent: the image of that name. */
      readonly target?: WrittenBlob;
      readonly signal: AbortSignal;
    },
  ): Promise<void>;
}

/** What exporters work with. */
export interface ExportContext {
  readonly ref: string;
  readonly builder: Builder;
  readonly result: BuildResult;
  readonly session: () => Promise<Session>;
  readonly pusher: ImagePusher;
  readonly attest: AttestationMaker | undefined;
  /** Seconds since the epoch that times are set to. */
  readonly sourceDateEpoch: number | undefined;
  /** Images tell which steps their layers are. */
  readonly inlineCache: boolean;
  /** Whether results are put in folders of their platforms. */
  readonly split: boolean;
  readonly progress: ProgressSink;
  readonly signal: AbortSignal;
}

/** Keys and values for the client. */
export type ExporterResponse = Readonly<Record<string, string>>;

type Exporter = (
  context: ExportContext,
  request: ExporterRequest,
  index: number,
) => Promise<ExporterResponse>;

const exporters: ReadonlyMap<string, Exporter> = new Map([
  ["moby", exportImage],
  ["image", exportImage],
  ["docker", exportArchive],
  ["oci", exportArchive],
  ["local", exportFolders],
  ["tar", exportTar],
]);

/** Runs one exporter. */
export async function runExporter(
  context: ExportContext,
  request: ExporterRequest,
  index: number,
): Promise<ExporterResponse> {
  return await exporterOf(request.type)(context, request, index);
}

/** Whether an exporter makes an image of the engine. */
export const isStoring = (type: string): boolean => exporters.get(type) === exportImage;

export const isExporter = (type: string): boolean => exporters.has(type);

/** Throws for what can't be done: asked before the build begins. */
export function checkExporter({ type, attrs }: ExporterRequest): void {
  exporterOf(type);
  if (type === "local" || type === "tar") return;
  readImageAttributes(attrs);
  namesOf(attrs["name"] ?? "");
}

function exporterOf(type: string): Exporter {
  const exporter = exporters.get(type);
  if (exporter !== undefined) return exporter;
  throw new WireFailure(codes.unknown, `exporter ${JSON.stringify(type)} could not be found`);
}

async function exportImage(
  context: ExportContext,
  { attrs }: ExporterRequest,
): Promise<ExporterResponse> {
  const names = namesOf(attrs["name"] ?? "");
  const attributes = readImageAttributes(attrs);
  const { builder, signal } = context;
  return await vertexOf(context, "exporting to image", async (vertex) => {
    const options = imageExport(
      context,
      names,
      { ...attributes, oci: attributes.oci ?? false },
      vertex,
    );
    const result = eachPlatformOnce(context, vertex);
    const stored = await builder.exportImage(result, options, signal);
    if (attributes.push) await push(context, names, stored, vertex);
    return imageResponse(stored, names);
  });
}

async function push(
  { pusher, session, signal }: ExportContext,
  names: readonly string[],
  { digest }: StoredImage,
  vertex: OwnVertex,
): Promise<void> {
  if (names.length === 0) throw invalidArgument("tag is needed when pushing to registry");
  const from = await session();
  for (const name of names) {
    const layersPushed = vertex.begin("pushing layers", "");
    try {
      await pusher.push(name, { session: from, vertex, signal });
    } catch (error) {
      const { code, message, failureDetails } = toWireFailure(error);
      throw new WireFailure(code, `failed to push ${name}: ${message}`, failureDetails, error);
    } finally {
      layersPushed();
    }
    vertex.begin(`pushing manifest for ${name}@${digest}`, "")();
  }
}

async function exportArchive(
  context: ExportContext,
  { type, attrs }: ExporterRequest,
  index: number,
): Promise<ExporterResponse> {
  const layout = type === "oci" ? "oci" : "docker";
  const names = namesOf(attrs["name"] ?? "");
  const attributes = readImageAttributes(attrs);
  const oci = attributes.oci ?? layout === "oci";
  const { builder, signal, sourceDateEpoch } = context;
  return await vertexOf(context, `exporting to ${layout} image format`, async (vertex) => {
    const result = eachPlatformOnce(context, vertex);
    const created = sourceDateEpoch === undefined ? new Date() : new Date(sourceDateEpoch * 1000);
    const options = { ...imageExport(context, names, { ...attributes, oci }, vertex), created };
    if (!attributes.tar) return await exportLayout(context, names, result, options);
    let response: ExporterResponse = {};
    const archiveOptions: ArchiveExport = {
      ...options,
      layout,
      onWritten(image) {
        response = imageResponse(image, names);
      },
    };
    const archive = builder.exportArchive(result, archiveOptions, signal);
    await sendTarball(context, archive, index, vertex);
    return response;
  });
}

/** Writes blobs into the client's folder; the client writes the index. */
async function exportLayout(
  { builder, session, signal }: ExportContext,
  names: readonly string[],
  result: Pick<BuildResult, "platforms">,
  options: Omit<ArchiveExport, "layout">,
): Promise<ExporterResponse> {
  await using exported = await builder.exportBlobs(result, options, signal);
  const store = new ClientStore(await session(), "export");
  for (const blob of exported.blobs) {
    await store.write(blob, exported.read(blob.digest, signal), signal);
  }
  return imageResponse(exported.image, names);
}

async function exportFolders(
  context: ExportContext,
  { attrs }: ExporterRequest,
  index: number,
): Promise<ExporterResponse> {
  const { builder, result, session, signal } = context;
  const split = isSplit(context, attrs);
  return await vertexOf(context, "exporting to client directory", async (vertex) => {
    await using mounts = new AsyncDisposableStack();
    const folders = await Promise.all(
      result.platforms.map(async (each) => {
        const mounted = mounts.use(await builder.mount(each, signal));
        return { root: mounted.root, prefix: split ? folderOf(each.platform) : "" };
      }),
    );
    const line = new TransferLine(vertex, "copying files", "copying");
    await sendFolders(await session(), folders, {
      exporter: index,
      metadata: {},
      onProgress: line.at,
      signal,
    });
    line.end();
    return {};
  });
}

/** Whether platforms get folders of their own. */
function isSplit({ split }: ExportContext, attrs: ExporterRequest["attrs"]): boolean {
  return split && attrs["platform-split"] !== "false";
}

async function exportTar(
  context: ExportContext,
  { attrs }: ExporterRequest,
  index: number,
): Promise<ExporterResponse> {
  const { builder, signal } = context;
  return await vertexOf(context, "exporting to client tarball", async (vertex) => {
    const { platforms } = eachPlatformOnce(context, vertex);
    const split = isSplit(context, attrs);
    const trees = platforms.map((result) => ({
      ...{ result, folder: split ? folderOf(result.platform) : "" },
    }));
    await sendTarball(context, builder.exportTrees(trees, signal), index, vertex);
    return {};
  });
}

async function sendTarball(
  { session, signal }: ExportContext,
  bytes: AsyncIterable<Uint8Array>,
  exporter: number,
  vertex: OwnVertex,
): Promise<void> {
  let done: (() => void) | undefined;
  const sent = async function* (): AsyncGenerator<Uint8Array> {
    for await (const chunk of bytes) {
      done ??= vertex.begin("sending tarball", "sending");
      yield chunk;
    }
  };
  await sendFile(await session(), sent(), { exporter, metadata: {}, signal });
  done?.();
}

/** A platform that was asked for twice is exported once, and told of. */
function eachPlatformOnce(
  { result, progress }: ExportContext,
  vertex: OwnVertex,
): Pick<BuildResult, "platforms"> {
  const platforms = new Map<string, PlatformResult>();
  for (const each of result.platforms) {
    const name = formatPlatform(each.platform);
    if (platforms.has(name)) {
      const short = `Duplicate platform result requested ${JSON.stringify(name)}`;
      progress.warning(vertex.digest, { short, detail: [], url: "", lines: undefined });
    }
    platforms.set(name, each);
  }
  return { platforms: [...platforms.values()] };
}

function vertexOf<T>(
  { ref, progress }: ExportContext,
  name: string,
  work: (vertex: OwnVertex) => Promise<T>,
): Promise<T> {
  return asVertex(progress, { key: `${ref} ${name}`, name }, work);
}

function imageExport(
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
    format: { oci, compression, level, force, notAfter },
    onStep(text, done) {
      if (!open.has(text)) open.set(text, vertex.begin(text, ""));
      if (done) open.get(text)?.();
    },
  };
}

function imageResponse(stored: StoredImage, names: readonly string[]): ExporterResponse {
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

/** Names with registry and tag. Throws for what no image can be called. */
function namesOf(list: string): string[] {
  return csvFields(list).map((name) => {
    const reference = parsedName(name);
    if (reference.digest !== undefined)
      throw new WireFailure(codes.unknown, "build tag cannot contain a digest");
    return canonicalName(withDefaultTag(reference));
  });
}

function parsedName(name: string): Reference {
  try {
    return parseReference(name);
  } catch (error) {
    throw new WireFailure(codes.unknown, toWireFailure(error).message, [], error);
  }
}
