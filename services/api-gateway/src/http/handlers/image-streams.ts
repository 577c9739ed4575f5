/** Handlers of images that take long: pull, push, load, save, import. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { hasKind, internal, invalidArgument, toEngineError } from "@gantry/errors";
import type { ProgressMessage } from "@gantry/proto/image";
import type { ApiCall } from "../api-call.ts";
import { given } from "../decode/init.ts";
import { parsePlatformJson, parsePlatformText } from "../decode/platform.ts";
import { parseRegistryAuth } from "../decode/registry-auth.ts";
import { encodeProgress, encodeProgressError } from "../encode/progress.ts";
import { opened } from "../encode/version-gates.ts";
import { connectOutput } from "../output.ts";
import { connectEndpoint, copyIn, type Endpoint, openStream, sendData, write } from "../relay.ts";

/** A message of any of the streams. */
interface Step {
  readonly progress?: ProgressMessage | undefined;
}

/** POST /images/create: pull, or import when fromSrc is given. */
export async function createImage(call: ApiCall): Promise<void> {
  // `docker pull --all-tags` of old clients leaves the colon.
  const fromImage = call.query.text("fromImage").replace(/:$/, "");
  if (fromImage !== "") await pullImage(call, fromImage);
  else if (call.query.text("fromSrc") !== "") await importImage(call);
  // Docker takes it for an import from a URL, which is empty, too.
  else throw internal('Get "http:": http: no Host in request URL');
}

async function pullImage(call: ApiCall, reference: string): Promise<void> {
  const { query, signal } = call;
  const tag = query.text("tag");
  const stream = call.backends.images.pullImage(
    given({
      reference,
      tag,
      allTags: tag === "" && !namesVersion(reference),
      platform: parsePlatformText(query.text("platform")),
      auth: parseRegistryAuth(call.header("x-registry-auth")),
    }),
    { signal },
  );
  await sendProgress(call, stream);
}

/** Whether a reference has a tag or digest of its own. */
function namesVersion(reference: string): boolean {
  return reference.includes("@") || /:[^/]*$/.test(reference);
}

/** POST /images/{name}/push */
export async function pushImage(call: ApiCall): Promise<void> {
  const { query, signal } = call;
  const platform = opened("pushPlatform", call.version)
    ? parsePlatformJson(query.text("platform"))
    : undefined;
  const stream = call.backends.images.pushImage(
    given({
      reference: call.name,
      tag: query.text("tag"),
      platform,
      auth: parseRegistryAuth(call.header("x-registry-auth")),
    }),
    { signal },
  );
  await sendProgress(call, stream);
}

async function importImage(call: ApiCall): Promise<void> {
  const { query, signal } = call;
  const source = query.text("fromSrc");
  const stream = call.backends.images.importImage(
    given({
      repository: query.text("repo"),
      tag: query.text("tag"),
      message: query.text("message"),
      changes: query.all("changes").flatMap((text) => text.split("\n")),
      platform: parsePlatformText(query.text("platform")),
      url: source === "-" ? "" : source,
    }),
    { signal },
  );
  if (source !== "-") {
    await sendProgress(call, stream);
    return;
  }
  // Nothing is told before all is there, so whatever is wrong with the archive is an answer of its own.
  const rest = await sendUpload(call, stream);
  await sendProgress(call, asFaults(rest));
}

/** As in Docker, what is found out late is no fault of the request. */
async function* asFaults<T>(stream: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* stream;
  } catch (error) {
    throw hasKind(error, "invalid_argument") ? internal(messageOf(error), { cause: error }) : error;
  }
}

const messageOf = (error: unknown): string => toEngineError(error).message;

/** POST /images/load */
export async function loadImages(call: ApiCall): Promise<void> {
  const { query, signal } = call;
  const quiet = query.flag("quiet", true);
  const stream = call.backends.images.loadImages({ quiet, platforms: platforms(call) }, { signal });
  const rest = await sendUpload(call, stream);
  await sendSteps(call.startStream("application/json"), rest);
}

/** `platform` of load and save: one below 1.52, several from there on. */
function platforms({ query, version }: ApiCall) {
  if (!opened("imagePlatform", version)) return [];
  const texts = query.all("platform");
  if (texts.length > 1 && !opened("manyPlatforms", version)) {
    throw invalidArgument("multiple platform parameters not supported");
  }
  return texts.map(parsePlatformJson).filter((each) => each !== undefined);
}

/** GET /images/get */
export async function saveImages(call: ApiCall): Promise<void> {
  await save(call, call.query.all("names"));
}

/** GET /images/{name}/get */
export async function saveImage(call: ApiCall): Promise<void> {
  await save(call, [call.name]);
}

async function save(call: ApiCall, images: string[]): Promise<void> {
  const { signal } = call;
  const stream = call.backends.images.saveImages(
    { images, platforms: platforms(call) },
    { signal },
  );
  const opening = await openStream(asFaults(stream));
  const data = await connectOutput(opening.first.data, signal);
  await sendData(call.startStream("application/x-tar"), data, () => opening.ended());
}

/** An error before the first message is an ordinary answer; a later one ends the stream in-band. */
async function sendProgress(call: ApiCall, stream: AsyncIterable<Step>): Promise<void> {
  const { first, rest } = await openStream(stream);
  const response = call.startStream("application/json");
  await sendSteps(response, concat(first, rest));
}

async function* concat<T>(first: T, rest: AsyncIterable<T>): AsyncGenerator<T> {
  yield first;
  yield* rest;
}

async function sendSteps(response: ServerResponse, steps: AsyncIterable<Step>): Promise<void> {
  try {
    for await (const { progress } of steps) {
      if (progress !== undefined) await write(response, encodeProgress(progress));
    }
  } catch (error) {
    // Nobody reads any more when the client is what failed.
    if (response.destroyed) throw error;
    response.write(encodeProgressError(toEngineError(error)));
  }
  response.end();
}

/** Lets the body go where the first message says; returns the messages that come meanwhile. */
async function sendUpload(
  call: ApiCall,
  stream: AsyncIterable<Step & { readonly data?: Endpoint | undefined }>,
): Promise<AsyncIterable<Step>> {
  const { first, rest } = await openStream(stream);
  const data = await connectEndpoint(first.data, call.signal);
  call.continueBody();
  upload(call.request, data);
  return rest;
}

/** The service judges what it got: a copy that broke shows as its error. */
function upload(request: IncomingMessage, data: Parameters<typeof copyIn>[1]): void {
  copyIn(request, data).catch(() => undefined);
}
