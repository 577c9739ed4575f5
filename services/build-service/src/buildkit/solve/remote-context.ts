/** Contexts that are not directories of the client: archives that it uploads, URLs, git repositories. */
import {
  closeSync,
  createReadStream,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import path from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { EngineError } from "@gantry/errors";
import { removeTree } from "@gantry/native";
import { BytesMessageSchema, Upload } from "@gantry/proto/buildkit";
import { BuildFailure, DownloadFailure, MissingSource } from "../../domain/build-failure.ts";
import type { ContextTree } from "../../ports/build-inputs.ts";
import type { AgentFinder, Archives, Downloads } from "../../ports/downloads.ts";
import type { FileWork } from "../../ports/file-work.ts";
import type { ProgressSink, RunningVertex } from "../../ports/progress.ts";
import { asVertex, TransferLine } from "../progress/own-vertex.ts";
import type { Session } from "../session/session.ts";
import { methodPathOf } from "../wire/client-connection.ts";
import { codes, WireFailure } from "../wire/failure.ts";
import type { FrontendOptions } from "./frontend-options.ts";

/** What fetches and unpacks. */
export interface RemoteTools {
  readonly downloads: Downloads;
  readonly archives: Archives;
  readonly files: Pick<FileWork, "find" | "copy">;
  /** Folder for files of builds. */
  readonly scratchDir: string;
}

/** Which context, and for whom. */
export interface RemoteRequest {
  readonly ref: string;
  /** Whose upload may be the context. */
  readonly session: Session | undefined;
  readonly options: FrontendOptions;
  readonly agent: AgentFinder;
  readonly progress: ProgressSink;
  readonly signal: AbortSignal;
}

/** A fetched context. */
export interface RemoteContext extends AsyncDisposable {
  /** Absolute path of the folder that is the context. */
  readonly root: string;
  /** Content of a file in it, links followed inside of it; undefined: there is none. */
  read(name: string): Uint8Array | undefined;
}

/** What clients call the archive that they send. */
const uploadPrefix = "http://buildkit-session/";

const gitForm = /^(git:\/\/|git@|ssh:\/\/)|\.git(#.*)?$/;

/** Fetches it. */
export async function openRemoteContext(
  tools: RemoteTools,
  request: RemoteRequest,
): Promise<RemoteContext> {
  const { ref, options, progress } = request;
  const url = options.remoteContext;
  const name = gitForm.test(url)
    ? `[internal] load git source ${url}`
    : "[internal] load remote build context";
  mkdirSync(tools.scratchDir, { recursive: true, mode: 0o700 });
  const folder = mkdtempSync(path.join(tools.scratchDir, "remote-"));
  try {
    const tree = await asVertex(progress, { key: `${ref} ${name}`, name }, (vertex) =>
      url.startsWith(uploadPrefix)
        ? receiveUpload(tools, request, folder, vertex)
        : tools.downloads.context(
            url,
            { into: folder, agent: request.agent },
            vertex,
            request.signal,
          ),
    );
    const root = folderIn(tools, tree.root, options.contextFolder);
    return {
      root,
      read: (file) => readIn(tools, root, file),
      async [Symbol.asyncDispose]() {
        await tree[Symbol.asyncDispose]();
        await removeTree(folder);
      },
    };
  } catch (error) {
    await removeTree(folder);
    throw notRead(error, gitForm.test(url) ? "dockerfile" : "downloaded context");
  }
}

/** What BuildKit was about when the context could not be had. */
function notRead(error: unknown, what: string): unknown {
  if (!(error instanceof BuildFailure)) return error;
  const key = error instanceof DownloadFailure ? "failed to load cache key: " : "";
  const text = `failed to read ${what}: ${key}${error.message}`;
  return new WireFailure(codes.unknown, text, [], error);
}

/** A context that comes as an archive, for those who have no URL for it. */
export async function unpackContext(
  tools: RemoteTools,
  archive: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<RemoteContext> {
  mkdirSync(tools.scratchDir, { recursive: true, mode: 0o700 });
  const root = mkdtempSync(path.join(tools.scratchDir, "remote-"));
  try {
    await tools.archives.unpack(archive, { root, path: "/" }, { uid: 0, gid: 0 }, signal);
    return {
      root,
      read: (file) => readIn(tools, root, file),
      [Symbol.asyncDispose]: () => removeTree(root),
    };
  } catch (error) {
    await removeTree(root);
    throw error;
  }
}

/** A folder that somebody else takes away. */
export const contextAt = (tools: RemoteTools, root: string): RemoteContext => ({
  root,
  read: (file) => readIn(tools, root, file),
  [Symbol.asyncDispose]: () => Promise.resolve(),
});

const folderIn = ({ files }: RemoteTools, root: string, folder: string): string =>
  folder === "" ? root : files.find(root, folder);

function readIn({ files }: RemoteTools, root: string, name: string): Uint8Array | undefined {
  try {
    return readFileSync(files.find(root, name));
  } catch (error) {
    if (error instanceof MissingSource) return undefined;
    throw error;
  }
}

/** An archive is unpacked; anything else is a Dockerfile alone. */
async function receiveUpload(
  { archives }: RemoteTools,
  { session, options, signal }: RemoteRequest,
  folder: string,
  vertex: RunningVertex,
): Promise<ContextTree> {
  if (session === undefined) throw new EngineError("not_found", "no session to receive from");
  const file = path.join(folder, "upload");
  await receiveFile(session, new URL(options.remoteContext).pathname, file, vertex, signal);
  const root = path.join(folder, "context");
  mkdirSync(root, { mode: 0o755 });
  if (archives.isArchive(file)) {
    await archives.unpack(createReadStream(file), { root, path: "/" }, { uid: 0, gid: 0 }, signal);
    rmSync(file);
  } else renameSync(file, path.join(root, "Dockerfile"));
  return { root, cacheName: undefined, [Symbol.asyncDispose]: () => Promise.resolve() };
}

async function receiveFile(
  session: Session,
  urlPath: string,
  file: string,
  vertex: RunningVertex,
  signal: AbortSignal,
): Promise<void> {
  const line = new TransferLine(vertex, "transferring context:", "transferring");
  const call = session.connection.open(methodPathOf(Upload.method.pull), {
    metadata: { urlpath: urlPath, urlhost: "buildkit-session" },
    signal,
  });
  call.end();
  const target = openSync(file, "wx", 0o600);
  try {
    let received = 0;
    await call.receive((message) => {
      const { data } = fromBinary(BytesMessageSchema, message);
      for (let at = 0; at < data.length; ) at += writeSync(target, data, at);
      received += data.length;
      line.at(received);
      return undefined;
    });
  } finally {
    closeSync(target);
  }
  line.end();
}
