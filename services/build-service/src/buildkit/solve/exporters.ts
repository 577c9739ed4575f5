/** What is made of a result: images, archives, folders. */
import type { ArchiveExport, BuildResult, ImageExport } from "../../ports/build.ts";
import { type OwnVertex, TransferLine } from "../progress/own-vertex.ts";
import { ClientStore } from "../session/content-store.ts";
import { sendFile, sendFolders } from "../session/send-file.ts";
import { codes, WireFailure } from "../wire/failure.ts";
import {
  type ExportContext,
  type ExporterRequest,
  type ExporterResponse,
  eachPlatformOnce,
  exportVertex,
} from "./export-context.ts";
import { readImageAttributes } from "./image-attributes.ts";
import { exportImage } from "./image-exporter.ts";
import { imageOptions, imageResponse } from "./image-form.ts";
import { imageNaming, taggedNames } from "./image-names.ts";
import { folderOf } from "./platform-folder.ts";

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

/** Whether attestations that come only where an image has room for them do. */
export function hasInlineAttestations({ type, attrs }: ExporterRequest): boolean {
  return exporters.get(type) === exportImage && readImageAttributes(attrs).attestationInline;
}

export const isExporter = (type: string): boolean => exporters.has(type);

/** Throws for what can't be done: asked before the build begins. */
export function checkExporter(request: ExporterRequest): void {
  exporterOf(request.type);
  if (request.type === "local" || request.type === "tar") return;
  imageNaming(request, readImageAttributes(request.attrs));
}

function exporterOf(type: string): Exporter {
  const exporter = exporters.get(type);
  if (exporter !== undefined) return exporter;
  throw new WireFailure(codes.unknown, `exporter ${JSON.stringify(type)} could not be found`);
}

async function exportArchive(
  context: ExportContext,
  { type, attrs }: ExporterRequest,
  index: number,
): Promise<ExporterResponse> {
  const layout = type === "oci" ? "oci" : "docker";
  const names = taggedNames(attrs["name"] ?? "");
  const attributes = readImageAttributes(attrs);
  const oci = attributes.oci ?? layout === "oci";
  const { builder, signal, sourceDateEpoch } = context;
  return await exportVertex(context, `exporting to ${layout} image format`, async (vertex) => {
    const result = eachPlatformOnce(context, vertex);
    const created = sourceDateEpoch === undefined ? new Date() : new Date(sourceDateEpoch * 1000);
    const options = { ...imageOptions(context, names, { ...attributes, oci }, vertex), created };
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
  options: ImageExport & Pick<ArchiveExport, "created">,
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
  return await exportVertex(context, "exporting to client directory", async (vertex) => {
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
  return await exportVertex(context, "exporting to client tarball", async (vertex) => {
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
