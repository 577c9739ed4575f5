/** Caches that a client wants to be written, into its own folders or a registry. */
import { invalidArgument } from "@gantry/errors";
import { canonicalName, parseReference, withDefaultTag } from "@gantry/oci";
import type { WrittenBlob, WrittenCache } from "../../ports/build.ts";
import { asVertex, type OwnVertex } from "../progress/own-vertex.ts";
import { ClientStore } from "../session/content-store.ts";
import { codes, WireFailure } from "../wire/failure.ts";
import type { ExportContext, ExporterResponse } from "./export-context.ts";

/** A cache as the client names it. */
export interface CacheTarget {
  readonly type: string;
  readonly attrs: Readonly<Record<string, string>>;
}

/** Part of an image's export, and none by itself. */
const inline = "inline";

/** Where a cache's blobs go. */
type Destination = (
  context: ExportContext,
  cache: WrittenCache,
  attrs: CacheTarget["attrs"],
  vertex: OwnVertex,
) => Promise<void>;

const destinations: ReadonlyMap<string, { readonly name: string; readonly send: Destination }> =
  new Map([
    ["local", { name: "exporting cache to client directory", send: sendToClient }],
    ["registry", { name: "exporting cache to registry", send: sendToRegistry }],
  ]);

/** Throws for what can't be done: asked before the build begins. */
export function checkCacheTargets(targets: readonly CacheTarget[]): void {
  for (const { type, attrs } of targets) {
    if (type === inline) continue;
    if (!destinations.has(type)) {
      throw new WireFailure(codes.unimplemented, `cache export of type ${type} is not supported`);
    }
    modeOf(attrs);
    if (type === "local" && (attrs["dest"] ?? "") === "") {
      throw invalidArgument("local cache exporter requires dest");
    }
    if (type === "registry") parseReference(attrs["ref"] ?? "");
  }
}

/** Writes them. A failure is the build's, unless the client says `ignore-error`. */
export async function exportCaches(
  context: ExportContext,
  targets: readonly CacheTarget[],
): Promise<ExporterResponse> {
  const responses: ExporterResponse[] = [];
  for (const target of targets) {
    if (target.type === inline) continue;
    try {
      responses.push(await exportOne(context, target));
    } catch (error) {
      // The display has told of it.
      if (context.signal.aborted || !isTrue(target.attrs["ignore-error"])) throw error;
    }
  }
  return Object.assign({}, ...responses) as ExporterResponse;
}

async function exportOne(
  context: ExportContext,
  { type, attrs }: CacheTarget,
): Promise<ExporterResponse> {
  const destination = destinations.get(type);
  if (destination === undefined) throw new RangeError(`no cache export of type ${type}`);
  const { name, send } = destination;
  const { builder, result, progress, signal } = context;
  const key = `${context.ref} ${name} ${attrs["ref"] ?? attrs["dest"] ?? ""}`;
  return await asVertex(progress, { key, name }, async (vertex) => {
    const mode = modeOf(attrs);
    const written = await vertex.step("preparing build cache for export", "", () =>
      builder.exportCache(result, { mode }, signal),
    );
    if (written === undefined) {
      vertex.log(2, Buffer.from("skipping cache export for empty result\n"));
      return {};
    }
    await using cache = written;
    await send(context, cache, attrs, vertex);
    const { mediaType, digest, sizeBytes: size } = cache.target;
    return { "cache.manifest": JSON.stringify({ mediaType, digest, size }) };
  });
}

async function sendToClient(
  { session, signal }: ExportContext,
  cache: WrittenCache,
  attrs: CacheTarget["attrs"],
  vertex: OwnVertex,
): Promise<void> {
  const store = new ClientStore(await session(), `local:${attrs["dest"] ?? ""}`);
  for (const blob of cache.blobs) {
    await vertex.step(`writing ${kindOf(blob)} ${blob.digest}`, "", () =>
      store.write(blob, cache.read(blob.digest, signal), signal),
    );
  }
}

async function sendToRegistry(
  { session, pusher, signal }: ExportContext,
  { target }: WrittenCache,
  attrs: CacheTarget["attrs"],
  vertex: OwnVertex,
): Promise<void> {
  const reference = canonicalName(withDefaultTag(parseReference(attrs["ref"] ?? "")));
  const from = await session();
  await vertex.step(`writing cache manifest ${target.digest}`, "", () =>
    pusher.push(reference, { session: from, vertex, target, signal }),
  );
}

function kindOf({ mediaType }: WrittenBlob): string {
  if (mediaType.includes("config")) return "config";
  return /manifest|index/.test(mediaType) ? "cache manifest" : "layer";
}

function modeOf(attrs: CacheTarget["attrs"]): "min" | "max" {
  const mode = attrs["mode"] ?? "min";
  if (mode === "min" || mode === "max") return mode;
  throw invalidArgument(`unknown cache export mode ${mode}`);
}

const isTrue = (text: string | undefined): boolean => /^(1|t|true)$/i.test(text ?? "");
