/** What a build reads from its client, over the session. */
import type { BuildResult } from "../../ports/build.ts";
import type { BuildInputs, ContextSource } from "../../ports/build-inputs.ts";
import type { ProgressSink } from "../../ports/progress.ts";
import { asVertex, TransferLine } from "../progress/own-vertex.ts";
import type { AgentSockets } from "../session/agent-sockets.ts";
import { ClientStore } from "../session/content-store.ts";
import { findCredential, findSecret } from "../session/lent.ts";
import type { Session } from "../session/session.ts";
import { codes, WireFailure } from "../wire/failure.ts";
import type { FrontendOptions } from "./frontend-options.ts";
import type { LocalDirectories } from "./local-directories.ts";
import type { RemoteContext } from "./remote-context.ts";

/** What makes inputs. */
export interface ClientInputsOptions {
  /** The build's. */
  readonly ref: string;
  /** None: nothing is lent. */
  readonly session: Session | undefined;
  readonly directories: LocalDirectories;
  readonly agents: AgentSockets;
  readonly options: FrontendOptions;
  /** The main context, when it is not a directory of the client. */
  readonly remote: RemoteContext | undefined;
  /** Results of earlier builds that the client refers to, by the key of its reference. */
  readonly results: ReadonlyMap<string, BuildResult>;
  /** Files that it refers to so, not disposed before the build's end. */
  readonly files: ReadonlyMap<string, RemoteContext>;
  readonly progress: ProgressSink;
  readonly signal: AbortSignal;
}

/** Reads the Dockerfile now; everything else when the build asks for it. */
export async function openClientInputs(from: ClientInputsOptions): Promise<BuildInputs> {
  const { session } = from;
  const { filename } = from.options;
  const dockerfile = await loadDockerfile(from);
  let ignore = dockerfile.ignore === undefined ? undefined : Promise.resolve(dockerfile.ignore);
  return {
    dockerfile: {
      ...{ name: filename, bytes: dockerfile.bytes },
      ...(dockerfile.vertex !== undefined && { vertex: dockerfile.vertex }),
    },
    ignore: () => (ignore ??= loadIgnore(from)),
    context: mainContext(from),
    namedContexts: namedContexts(from),
    secret: (id, signal) => findSecret(session, id, signal),
    sshAgent: (id, signal) => from.agents.open(session, id, AbortSignal.any([signal, from.signal])),
    registryAuth: (host, signal) => findCredential(session, host, signal),
  };
}

interface LoadedDockerfile {
  readonly bytes: Uint8Array;
  /** Of `<Dockerfile>.dockerignore`; undefined: there is none. */
  readonly ignore: string | undefined;
  readonly vertex?: string;
}

async function loadDockerfile(from: ClientInputsOptions): Promise<LoadedDockerfile> {
  const { directories, options, progress, signal, remote } = from;
  const { filename, dockerfileKey, dockerfileIsLocal } = options;
  if (remote !== undefined && !dockerfileIsLocal) {
    return { bytes: dockerfileIn(remote, filename), ignore: undefined };
  }
  const name = `[internal] load build definition from ${filename}`;
  const loaded = await asVertex(progress, { key: `${from.ref} ${name}`, name }, async (vertex) => {
    const line = new TransferLine(vertex, "transferring dockerfile:", "transferring");
    const ignoreName = `${filename}.dockerignore`;
    const names = [filename, ignoreName, ...(filename === "Dockerfile" ? ["dockerfile"] : [])];
    const tree = await directories.files(dockerfileKey, names, line, signal);
    return { tree, ignore: tree.read(ignoreName), vertex: vertex.digest };
  });
  // That it lacks the file is no failure of loading.
  const { tree, ignore, vertex } = loaded;
  const bytes = dockerfileIn(tree, filename);
  return { bytes, ignore: ignore && new TextDecoder().decode(ignore), vertex };
}

/** The Dockerfile among files; with its usual name it may be written in lower case. */
function dockerfileIn(
  files: { read(name: string): Uint8Array | undefined },
  filename: string,
): Uint8Array {
  const bytes =
    files.read(filename) ?? (filename === "Dockerfile" ? files.read("dockerfile") : undefined);
  if (bytes !== undefined) return bytes;
  throw new WireFailure(
    codes.unknown,
    `failed to read dockerfile: open ${filename}: no such file or directory`,
  );
}

async function loadIgnore(from: ClientInputsOptions): Promise<string> {
  const { directories, options, progress, signal, remote } = from;
  if (remote !== undefined) return "";
  const name = "[internal] load .dockerignore";
  return await asVertex(progress, { key: `${from.ref} ${name}`, name }, async (vertex) => {
    const line = new TransferLine(vertex, "transferring context:", "transferring");
    const tree = await directories.files(options.contextKey, [".dockerignore"], line, signal);
    return new TextDecoder().decode(tree.read(".dockerignore"));
  });
}

function mainContext({ options, directories, remote }: ClientInputsOptions): ContextSource {
  if (remote === undefined) {
    return { kind: "local", context: directories.context(options.contextKey) };
  }
  return filesAt(remote);
}

/** They are there already, and their owner disposes them. */
function filesAt({ root }: RemoteContext): ContextSource {
  const tree = {
    root,
    cacheName: undefined,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  return { kind: "local", context: { open: () => Promise.resolve(tree) } };
}

function namedContexts(from: ClientInputsOptions): ReadonlyMap<string, ContextSource> {
  const sources = [...from.options.namedContexts].map(
    ([name, value]) => [name.toLowerCase(), namedContext(from, name, value)] as const,
  );
  return new Map(sources);
}

function namedContext(from: ClientInputsOptions, name: string, value: string): ContextSource {
  const { directories, results } = from;
  const after = (scheme: string): string | undefined =>
    value.startsWith(scheme) ? value.slice(scheme.length) : undefined;
  const image = after("docker-image://");
  if (image !== undefined) return { kind: "image", reference: image };
  const directory = after("local:");
  if (directory !== undefined) {
    let ignore: Promise<string> | undefined;
    const context = directories.context(directory);
    return { kind: "local", context, ignore: () => (ignore ??= ignoreOf(from, name, directory)) };
  }
  const layout = after("oci-layout://");
  if (layout !== undefined) return clientLayout(from, layout);
  const input = after("input:");
  const result = input === undefined ? undefined : results.get(input);
  if (result !== undefined) return { kind: "result", result };
  const files = input === undefined ? undefined : from.files.get(input);
  if (files !== undefined) return filesAt(files);
  if (/^(git|https?):\/\/|^git@/.test(value)) return { kind: "remote", url: value };
  return { kind: "unknown", scheme: value.split(":")[0] ?? "" };
}

/** Lines of a named context's own `.dockerignore`. */
async function ignoreOf(
  { ref, directories, progress, signal }: ClientInputsOptions,
  name: string,
  directory: string,
): Promise<string> {
  const shown = `[context ${name}] load .dockerignore`;
  return await asVertex(progress, { key: `${ref} ${shown}`, name: shown }, async (vertex) => {
    const line = new TransferLine(vertex, `transferring ${directory}:`, "transferring");
    const tree = await directories.files(directory, [".dockerignore"], line, signal);
    return new TextDecoder().decode(tree.read(".dockerignore"));
  });
}

/** @param text name of the client's store, perhaps a tag, and the digest */
function clientLayout({ session }: ClientInputsOptions, text: string): ContextSource {
  const [, store = "", digest] =
    /^([^:@]+)(?::[^@]*)?(?:@(sha256:[0-9a-f]{64}))?$/.exec(text) ?? [];
  if (session === undefined || digest === undefined)
    throw new WireFailure(
      codes.unknown,
      `oci-layout reference ${JSON.stringify(text)} has no digest`,
    );
  const blobs = new ClientStore(session, `oci:${store}`);
  return { kind: "layout", digest, read: (blob, signal) => blobs.read(blob, signal) };
}
