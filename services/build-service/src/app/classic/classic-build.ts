/** `POST /build`: the request's context becomes a build, whose result is stored as an image. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import {
  EngineError,
  type ErrorKind,
  internal,
  invalidArgument,
  isEngineError,
  toEngineError,
} from "@gantry/errors";
import { removeTree } from "@gantry/native";
import { familiarName, parseReference, withDefaultTag } from "@gantry/oci";
import {
  AnswerFailure,
  BuildFailure,
  DownloadFailure,
  MissingSource,
  RepositoryFailure,
} from "../../domain/build-failure.ts";
import { IgnoreRules } from "../../domain/dockerfile/dockerignore.ts";
import { parseDockerfile } from "../../domain/dockerfile/parse.ts";
import { DockerfileSyntaxError } from "../../domain/dockerfile/syntax-error.ts";
import { splitStages } from "../../domain/frontend/stages.ts";
import { BuildError, type BuildRequest } from "../../ports/build.ts";
import {
  type BuildContext,
  type BuildInputs,
  type ContextTree,
  type Credential,
  noAgents,
} from "../../ports/build-inputs.ts";
import type { RunningVertex } from "../../ports/progress.ts";
import { scratchTree } from "../../ports/scratch-tree.ts";
import type { BuilderParts } from "../builder-parts.ts";
import { importLocalCaches } from "../import-cache.ts";
import { runBuild } from "../run-build.ts";
import { StepImages } from "./step-images.ts";
import { type ClassicMessage, ClassicTeller, shortOf } from "./step-listener.ts";
import { refuseVolumesOverFiles } from "./volume-places.ts";

/** What the endpoint's query says, beside the build itself. */
export interface ClassicRequest {
  readonly build: BuildRequest;
  /** Empty: `Dockerfile`. */
  readonly dockerfile: string;
  /** Empty: the archive. */
  readonly remote: string;
  readonly tags: readonly string[];
  readonly quiet: boolean;
  readonly remove: boolean;
  readonly forceRemove: boolean;
  /** Images that are here, whose inline caches are used. */
  readonly cacheFrom: readonly string[];
  readonly registryAuth: ReadonlyMap<string, Credential>;
}

/** What is told while it runs. */
export type ClassicEvent =
  | ClassicMessage
  | { readonly kind: "error"; readonly message: string; readonly code: number };

/** The context, here. */
export interface OpenContext extends AsyncDisposable {
  readonly tree: ContextTree;
  readonly dockerfile: { readonly name: string; readonly bytes: Uint8Array };
}

const defaultName = "Dockerfile";

/** Brings the context here and reads the Dockerfile. Throws internal with Docker's words, as Docker does. */
export async function openClassicContext(
  parts: BuilderParts,
  request: ClassicRequest,
  body: AsyncIterable<Uint8Array> | undefined,
  signal: AbortSignal,
): Promise<OpenContext> {
  mkdirSync(parts.scratchDir, { recursive: true, mode: 0o700 });
  const folder = mkdtempSync(path.join(parts.scratchDir, "classic-"));
  try {
    const tree = await bring(parts, request, body, folder, signal);
    const dockerfile = readDockerfile(parts, tree.root, request);
    // It must not come into an image whose .dockerignore leaves it out.
    dropIgnored(parts, tree.root, dockerfile.name);
    return { tree, dockerfile, [Symbol.asyncDispose]: () => tree[Symbol.asyncDispose]() };
  } catch (error) {
    await removeTree(folder);
    throw refusal(error, request.remote);
  }
}

/** Kinds of what a server says instead of giving a context. */
const answerKinds: ReadonlyMap<number | undefined, ErrorKind> = new Map([
  [400, "invalid_argument"],
  [401, "unauthenticated"],
  [403, "permission_denied"],
  [404, "not_found"],
]);

function refusal(error: unknown, remote: string): unknown {
  if (isEngineError(error)) return error;
  if (error instanceof RepositoryFailure) return internal(error.told, { cause: error });
  if (error instanceof DownloadFailure && /^https?:/.test(remote)) {
    const answer = error instanceof AnswerFailure ? error : undefined;
    const message = `error downloading remote context ${remote}: ${answer?.told ?? error.message}`;
    const kind = answerKinds.get(answer?.status) ?? "internal";
    return new EngineError(kind, message, { cause: error });
  }
  if (error instanceof BuildFailure) return internal(error.message, { cause: error });
  return error;
}

async function bring(
  parts: BuilderParts,
  { remote }: ClassicRequest,
  body: AsyncIterable<Uint8Array> | undefined,
  folder: string,
  signal: AbortSignal,
): Promise<ContextTree> {
  if (remote !== "") {
    const silent: RunningVertex = { digest: "", status: () => undefined, log: () => undefined };
    return await parts.downloads.context(
      remote,
      { into: folder, agent: undefined },
      silent,
      signal,
    );
  }
  if (body === undefined) throw invalidArgument("no build context");
  const root = path.join(folder, "context");
  mkdirSync(root, { mode: 0o755 });
  await parts.archives.unpack(body, { root, path: "/" }, { uid: 0, gid: 0 }, signal);
  return scratchTree(root, folder);
}

function readDockerfile(
  { files }: BuilderParts,
  root: string,
  { dockerfile }: ClassicRequest,
): { readonly name: string; readonly bytes: Uint8Array } {
  const name = dockerfile === "" ? defaultName : dockerfile;
  for (const candidate of name === defaultName ? [name, name.toLowerCase()] : [name]) {
    const file = plainFile(files, root, candidate);
    if (file === undefined) continue;
    const bytes = readFileSync(file);
    if (bytes.length === 0) throw internal(`the Dockerfile (${name}) cannot be empty`);
    return { name: candidate, bytes };
  }
  throw internal(`Cannot locate specified Dockerfile: ${name}`);
}

/** Real path of a regular file in the context: links lead nowhere else, and pipes are not waited for. */
function plainFile(files: BuilderParts["files"], root: string, name: string): string | undefined {
  try {
    return files.plainFiles(root, name)[0];
  } catch (error) {
    if (error instanceof MissingSource) return undefined;
    throw error;
  }
}

function dropIgnored({ files }: BuilderParts, root: string, dockerfile: string): void {
  const ignore = plainFile(files, root, ".dockerignore");
  if (ignore === undefined) return;
  const rules = new IgnoreRules(readFileSync(ignore, "utf8"));
  for (const name of [".dockerignore", dockerfile]) {
    const file = rules.ignores(name) ? plainFile(files, root, name) : undefined;
    if (file !== undefined) rmSync(file, { force: true });
  }
}

/** Throws invalid_argument for a Dockerfile that can't be parsed or has no such target: before anything is told. */
export function checkDockerfile({ dockerfile }: OpenContext, target: string): void {
  try {
    const parsed = parseDockerfile(Buffer.from(dockerfile.bytes).toString("utf8"));
    const { stages } = splitStages(parsed);
    if (target !== "" && !stages.some((each) => each.named && each.name === target.toLowerCase())) {
      throw invalidArgument(`target stage ${JSON.stringify(target)} could not be found`);
    }
  } catch (error) {
    if (error instanceof BuildFailure) throw invalidArgument(error.message, { cause: error });
    if (!(error instanceof DockerfileSyntaxError)) throw error;
    const prefix = error.isForm ? "failed to parse Dockerfile: " : "";
    throw invalidArgument(`${prefix}${error.told}`, { cause: error });
  }
}

/** Builds, stores and names the image. Failures of the build are told, not thrown. */
export async function classicBuild(
  parts: BuilderParts,
  request: ClassicRequest,
  context: OpenContext,
  tell: (event: ClassicEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  const say = (text: string): void => {
    tell({ kind: "stream", text });
  };
  const quietly = (event: ClassicMessage): void => {
    if (!request.quiet) tell(event);
  };
  const images = new StepImages(parts, request.build, signal);
  const onLost = (error: unknown): void => {
    parts.logger.warn({ err: error }, "images of a failed build's steps are lost");
  };
  const teller = new ClassicTeller(quietly, parts.cache, {
    ...{ noCache: request.build.noCache, buildArgs: request.build.buildArgs },
    ...{ remove: request.remove, forceRemove: request.forceRemove, images, onLost },
    checkVolumes: (step, session) => refuseVolumesOverFiles(parts, step, session, signal),
  });
  try {
    await importLocalCaches(parts, request.cacheFrom, signal);
    await using _built = await runBuild(
      parts,
      request.build,
      inputsOf(request, context),
      teller.sink,
      signal,
      teller,
    );
    const { image } = teller;
    await images.store(image, request.tags);
    if (request.quiet) {
      say(`${image}\n`);
      return;
    }
    say(`Successfully built ${shortOf(image)}\n`);
    for (const tag of request.tags) {
      say(`Successfully tagged ${familiarName(withDefaultTag(parseReference(tag)))}\n`);
    }
  } catch (error) {
    tell(failureOf(error));
  }
}

function failureOf(error: unknown): ClassicEvent {
  const message = toEngineError(error).message;
  if (!(error instanceof BuildError)) return { kind: "error", message, code: 0 };
  if (error.exitCode !== undefined) {
    return {
      kind: "error",
      message: `The command '${error.command}' returned a non-zero code: ${String(error.exitCode)}`,
      code: error.exitCode,
    };
  }
  if (error.cause instanceof MissingSource) return missingSource(error, error.cause.path);
  if (error.cause instanceof DownloadFailure) {
    const { cause } = error;
    const text = cause instanceof AnswerFailure ? cause.told : cause.message;
    return { kind: "error", message: `ADD failed: ${text}`, code: 0 };
  }
  // In Docker's words, without what BuildKit puts in front.
  const reason = error.cause instanceof Error ? error.cause.message : message;
  return { kind: "error", message: docker(isNotRun(message) ? reason : message), code: 0 };
}

/** The classic builder's words for what is told otherwise elsewhere. */
function docker(message: string): string {
  return message
    .replace(/^mkdir (.*): not a directory$/s, "Cannot mkdir: $1 is not a directory")
    .replace(/(unable to start container process: .*): unknown$/s, "$1");
}

const isNotRun = (message: string): boolean =>
  /^process ".*" did not complete successfully: /s.test(message);

function missingSource({ place }: BuildError, path: string): ClassicEvent {
  const lines = Buffer.from(place?.source ?? "")
    .toString("utf8")
    .split("\n");
  const line = lines[(place?.lines.first ?? 0) - 1] ?? "";
  const keyword = /^\s*ADD\b/i.test(line) ? "ADD" : "COPY";
  const where = /\s--from=/.test(line)
    ? ""
    : "file not found in build context or excluded by .dockerignore: ";
  const name = path.replace(/^\//, "");
  const message = `${keyword} failed: ${where}stat ${name}: file does not exist`;
  return { kind: "error", message, code: 0 };
}

function inputsOf(request: ClassicRequest, { tree, dockerfile }: OpenContext): BuildInputs {
  const borrowed: ContextTree = { ...tree, [Symbol.asyncDispose]: () => Promise.resolve() };
  const context: BuildContext = { open: () => Promise.resolve(borrowed) };
  return {
    dockerfile,
    ignore: () => Promise.resolve(""),
    context: { kind: "local", context },
    namedContexts: new Map(),
    secret: () => Promise.resolve(undefined),
    sshAgent: (id) => Promise.resolve(noAgents(id)),
    registryAuth: (host) => Promise.resolve(credentialFor(request.registryAuth, host)),
  };
}

/** Docker Hub has several names in clients' files. */
function credentialFor(
  auth: ReadonlyMap<string, Credential>,
  host: string,
): Credential | undefined {
  const hub = [
    "registry-1.docker.io",
    "https://index.docker.io/v1/",
    "index.docker.io",
    "docker.io",
  ];
  const names = hub.includes(host) ? hub : [host, `https://${host}`, `http://${host}`];
  for (const name of names) {
    const found = auth.get(name);
    if (found !== undefined) return found;
  }
  return undefined;
}
