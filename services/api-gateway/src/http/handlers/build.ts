/** Handlers of Docker's classic builder. */
import type { IncomingMessage } from "node:http";
import { invalidArgument, toEngineError } from "@gantry/errors";
import type { BuildResponse } from "@gantry/proto/build";
import type { ApiCall } from "../api-call.ts";
import { readBuildQuery, uploadRequest } from "../decode/build.ts";
import { filterSet, readAnyFilters } from "../decode/filters.ts";
import { nullIfEmpty } from "../encode/json.ts";
import { encodeBuildError, encodeProgress } from "../encode/progress.ts";
import { connectEndpoint, copyIn, openStream, write } from "../relay.ts";
import { BuildUploads } from "./build-uploads.ts";

/** POST /build */
export async function build(call: ApiCall): Promise<void> {
  const { query, backends, signal } = call;
  const version = query.text("version");
  if (!["", "1", "2"].includes(version))
    throw invalidArgument(`invalid version ${JSON.stringify(version)}`);
  if (query.flag("squash")) {
    throw invalidArgument("squash is only supported with experimental mode");
  }
  const id = query.text("buildid");
  if (version === "2" && id.startsWith(`${uploadRequest}:`)) {
    await uploads.offer(id.slice(uploadRequest.length + 1), call);
    call.empty(200);
    return;
  }
  const request = readBuildQuery(query, call.header("x-registry-config"));
  const isSent = version === "2" && query.text("remote") === uploadRequest;
  const sent = isSent ? await uploads.take(id, signal) : undefined;
  try {
    await backends.wakeBuilder(signal);
    await answer(call, backends.builds.build(request, { signal }), sent?.call ?? call);
  } finally {
    sent?.taken();
  }
}

const uploads = new BuildUploads();

/** @param sender whose body is the context */
async function answer(
  call: ApiCall,
  responses: AsyncIterable<BuildResponse>,
  sender: ApiCall,
): Promise<void> {
  const { first, rest } = await openStream(responses);
  // Whatever is wrong with the context or the Dockerfile is found before anything is told.
  const messages = first.data === undefined ? undefined : await upload(sender, first, rest);
  const opening = messages ?? { first, rest };
  const response = call.startStream("application/json");
  try {
    for await (const message of concat(opening.first, opening.rest)) {
      if (message.progress !== undefined) await write(response, encodeProgress(message.progress));
      if (message.error !== undefined) await write(response, encodeBuildError(message.error));
    }
  } catch (error) {
    // Nobody reads any more when the client is what failed.
    if (response.destroyed) throw error;
    response.write(encodeBuildError({ message: toEngineError(error).message, code: 0 }));
  }
  response.end();
}

/** Sends the context to where the first message says; resolves with the next one. */
async function upload(
  call: ApiCall,
  { data }: BuildResponse,
  rest: AsyncIterable<BuildResponse>,
): Promise<{ readonly first: BuildResponse; readonly rest: AsyncIterable<BuildResponse> }> {
  const socket = await connectEndpoint(data, call.signal);
  call.continueBody();
  send(call.request, socket);
  return await openStream(rest);
}

/** The builder judges what it got: a copy that broke shows as its error. */
function send(request: IncomingMessage, socket: Parameters<typeof copyIn>[1]): void {
  copyIn(request, socket).catch(() => undefined);
}

async function* concat<T>(first: T, rest: AsyncIterable<T>): AsyncGenerator<T> {
  yield first;
  yield* rest;
}

/** POST /build/cancel */
export async function cancelBuild(call: ApiCall): Promise<void> {
  const buildId = call.query.text("id");
  if (buildId === "") throw invalidArgument("build ID not provided");
  await call.backends.builds.cancelBuild({ buildId });
  call.empty(200);
}

/** POST /build/prune */
export async function pruneBuildCache(call: ApiCall): Promise<void> {
  const { query, signal, backends } = call;
  const bytes = (name: string): bigint =>
    BigInt(
      query.integer(
        name,
        `${name} is in bytes and expects an integer, got ${query.text(name)}: `,
      ) ?? 0,
    );
  const keep = query.has("reserved-space") ? "reserved-space" : "keep-storage";
  await backends.wakeBuilder(signal);
  const pruned = await backends.builds.pruneCache(
    {
      all: query.flag("all"),
      filters: filterSet(readAnyFilters(query)),
      reservedBytes: bytes(keep),
      maxUsedBytes: bytes("max-used-space"),
      minFreeBytes: bytes("min-free-space"),
    },
    { signal },
  );
  call.json({
    CachesDeleted: nullIfEmpty(pruned.deleted),
    SpaceReclaimed: pruned.spaceReclaimedBytes,
  });
}
