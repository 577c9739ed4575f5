/** What is made of a result: images, archives, folders. */
import { invalidArgument, notImplemented } from "@gantry/errors";
import { canonicalName, formatPlatform, parseReference, withDefaultTag } from "@gantry/oci";
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
import { sendFile, sendFolders } from "../session/send-file.ts";
import type { Session } from "../session/session.ts";
import { codes, WireFailure } from "../wire/failure.ts";
import { csvFields } from "./csv.ts";
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
  readonly attest: AttestationMaker;
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

/** Throws for a type that there isn't: asked before the build begins. */
export function exporterOf(type: string): Exporter {
  const exporter = exporters.get(type);
  if (exporter !== undefined) return exporter;
  throw new WireFailure(codes.unknown, `exporter ${JSON.stringify(type)} could not be found`);
}

async function exportImage(
  context: ExportContext,
  { attrs }: ExporterRequest,
): Promise<ExporterResponse> {
  const names = namesOf(attrs["name"] ?? "");
  const { builder, signal } = context;
  return await vertexOf(context, "exporting to image", async (vertex) => {
    const options = imageExport(context, names, attrs, vertex);
    const result = eachPlatformOnce(context, vertex);
    const stored = await builder.exportImage(result, options, signal);
    if (isTrue(attrs["push"])) await push(context, names, vertex);
    return imageResponse(stored, names);
  });
}

async function push(
  { pusher, session, signal }: ExportContext,
  names: readonly string[],
  vertex: OwnVertex,
): Promise<void> {
  if (names.length === 0) throw invalidArgument("tag is needed when pushing to registry");
  const from = await session();
  for (const name of names) {
    await vertex.step(`pushing manifest for ${name}`, "pushing", () =>
      pusher.push(name, { session: from, vertex, signal }),
    );
  }
}

async function exportArchive(
  context: ExportContext,
  { type, attrs }: ExporterRequest,
  index: number,
): Promise<ExporterResponse> {
  const format = type === "oci" ? "oci" : "docker";
  if (attrs["tar"] === "false")
    throw notImplemented(`exporter ${type} with tar=false is not supported`);
  const names = namesOf(attrs["name"] ?? "");
  const { builder, signal } = context;
  return await vertexOf(context, `exporting to ${format} image format`, async (vertex) => {
    let response: ExporterResponse = {};
    const options: ArchiveExport = {
      ...{ ...imageExport(context, names, attrs, vertex), format },
      onWritten(image: StoredImage) {
        response = imageResponse(image, names);
      },
    };
    const archive = builder.exportArchive(eachPlatformOnce(context, vertex), options, signal);
    await sendTarball(context, archive, index, vertex);
    return response;
  });
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
  { attest, inlineCache }: ExportContext,
  names: readonly string[],
  attrs: ExporterRequest["attrs"],
  vertex: OwnVertex,
): ImageExport {
  const open = new Map<string, () => void>();
  return {
    names,
    inlineCache,
    attestations: attest,
    annotations: annotationsOf(attrs, ["annotation.", "annotation-manifest."]),
    indexAnnotations: annotationsOf(attrs, ["annotation-index."]),
    onStep(text, done) {
      if (!open.has(text)) open.set(text, vertex.begin(text, ""));
      if (done) open.get(text)?.();
    },
  };
}

function annotationsOf(
  attrs: ExporterRequest["attrs"],
  prefixes: readonly string[],
): ReadonlyMap<string, string> {
  return new Map(
    prefixes.flatMap((prefix) =>
      Object.entries(attrs)
        .filter(([key]) => key.startsWith(prefix))
        .map(([key, value]) => [key.slice(prefix.length), value] as const),
    ),
  );
}

function imageResponse(stored: StoredImage, names: readonly string[]): ExporterResponse {
  const { digest, mediaType, sizeBytes, configDigest } = stored;
  const manifest = stored.manifests.find((each) => each.digest === digest);
  const { architecture, os, variant } = manifest?.platform ?? {};
  const platform = manifest && { platform: { architecture, os, variant } };
  const descriptor = JSON.stringify({ mediaType, digest, size: sizeBytes, ...platform });
  return {
    "containerimage.digest": digest,
    ...(manifest && { "containerimage.config.digest": configDigest }),
    "containerimage.descriptor": Buffer.from(descriptor).toString("base64"),
    ...(names.length > 0 && { "image.name": names.join(",") }),
  };
}

/** Names with registry and tag. Throws invalid_argument for what no image can be called. */
function namesOf(list: string): string[] {
  return csvFields(list).map((name) => {
    const reference = parseReference(name);
    if (reference.digest !== undefined) {
      throw invalidArgument(`invalid tag ${name}: build tag cannot contain a digest`);
    }
    return canonicalName(withDefaultTag(reference));
  });
}

const isTrue = (text: string | undefined): boolean => /^(1|t|true)$/i.test(text ?? "");
