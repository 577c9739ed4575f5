/** Handlers of the engine itself. */
import { hasKind, invalidArgument, isEngineError } from "@gantry/errors";
import type { CacheRecord } from "@gantry/proto/build";
import type { ApiCall } from "../api-call.ts";
import { type DiskUsage, encodeDiskUsage } from "../encode/disk-usage.ts";
import { encodeInfo } from "../encode/info.ts";
import { encodeVersion } from "../encode/version.ts";
import { opened } from "../encode/version-gates.ts";
import { commonHeaders } from "../headers.ts";

const pingHeaders: readonly string[] = [
  ...commonHeaders,
  "Builder-Version",
  "2",
  "Cache-Control",
  "no-cache, no-store, must-revalidate",
  "Content-Type",
  "text/plain; charset=utf-8",
  "Pragma",
  "no-cache",
  "Swarm",
  "inactive",
];

const getPing = [...pingHeaders, "Content-Length", "2"];
const headPing = [...pingHeaders, "Content-Length", "0"];

/** GET and HEAD /_ping */
export function ping({ request, response }: ApiCall): void {
  const isHead = request.method === "HEAD";
  response.writeHead(200, isHead ? headPing : getPing);
  response.end(isHead ? undefined : "OK");
}

/** GET /version */
export function version(call: ApiCall): void {
  call.json(encodeVersion());
}

/** GET /info: the machine's half is needed; without the images' half there is a warning. */
export async function info(call: ApiCall): Promise<void> {
  const [host, images] = await Promise.all([
    call.backends.system.getInfo({}),
    call.backends.images.getImageInfo({}).catch((error: unknown) => {
      if (isEngineError(error) && hasKind(error, "unavailable")) return error;
      throw error;
    }),
  ]);
  const missing = isEngineError(images);
  call.json(
    encodeInfo(host, missing ? undefined : images, {
      version: call.version,
      nowNano: new Date().toISOString(),
      imageProblem: missing ? images.message : undefined,
    }),
  );
}

const usageTypes = new Set(["container", "image", "volume", "build-cache"]);

/** GET /system/df */
export async function diskUsage(call: ApiCall): Promise<void> {
  const { query, version } = call;
  const types = new Set(opened("dfTypes", version) ? query.all("type") : []);
  for (const type of types) {
    if (!usageTypes.has(type)) throw invalidArgument(`unknown object type: ${type}`);
  }
  const wants = (type: string): boolean => types.size === 0 || types.has(type);
  const usage = await collect(call, wants);
  const verbose = query.flag("verbose");
  call.json(encodeDiskUsage(usage, { version, verbose, nowMs: Date.now() }));
}

async function collect(call: ApiCall, wants: (type: string) => boolean): Promise<DiskUsage> {
  const { backends, signal } = call;
  const [images, containers, volumes, buildCache] = await Promise.all([
    wants("image") ? backends.images.getDiskUsage({}, { signal }) : undefined,
    wants("container")
      ? backends.containers.listContainers({ all: true, size: true }, { signal })
      : undefined,
    wants("volume") ? backends.volumes.listVolumes({ usage: true }, { signal }) : undefined,
    wants("build-cache") ? buildRecords(call) : undefined,
  ]);
  return {
    images: images && { list: images.images, layersBytes: images.layersSizeBytes },
    containers: containers?.containers,
    volumes: volumes?.volumes,
    buildCache,
  };
}

/** Without a builder there is no cache of it. */
async function buildRecords({ backends, signal }: ApiCall): Promise<readonly CacheRecord[]> {
  try {
    await backends.wakeBuilder(signal);
    return (await backends.builds.getDiskUsage({}, { signal })).records;
  } catch (error) {
    if (hasKind(error, "unavailable")) return [];
    throw error;
  }
}

/** OPTIONS on any path: an empty answer. */
export function anyOptions(call: ApiCall): void {
  call.empty(200);
}
