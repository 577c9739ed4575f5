/** Directories of the client, as a build uses them. */
import { EngineError } from "@gantry/errors";
import type { BuildContext, ContextRequest, ContextTree } from "../../ports/build-inputs.ts";
import type { RunningVertex } from "../../ports/progress.ts";
import type { KeptTrees } from "../contexts/kept-trees.ts";
import type { SharedTrees } from "../contexts/shared-trees.ts";
import { TransferLine } from "../progress/own-vertex.ts";
import { readFiles, syncDirectory } from "../session/file-sync.ts";
import type { MemoryTree } from "../session/memory-tree.ts";
import type { Session } from "../session/session.ts";
import type { SessionRegistry } from "../session/session-registry.ts";

/** What reads directories. */
export interface LocalDirectoriesOptions {
  /** None: there are no directories. */
  readonly session: Session | undefined;
  readonly sessions: SessionRegistry;
  readonly trees: KeptTrees;
  /** Trees that builds of one session read together. */
  readonly shared: SharedTrees;
  /** Sessions to use for some directories in the build's own session's place. */
  readonly localSessions: ReadonlyMap<string, string>;
  /** What tells directories of one name apart between builds. */
  readonly sharedKeys: ReadonlyMap<string, string>;
}

/** Reads them. */
export class LocalDirectories {
  readonly #options: LocalDirectoriesOptions;

  constructor(options: LocalDirectoriesOptions) {
    this.#options = options;
  }

  /** A few small files, always fetched anew. */
  async files(
    directory: string,
    names: readonly string[],
    line: TransferLine,
    signal: AbortSignal,
  ): Promise<MemoryTree> {
    const session = await this.#sessionOf(directory, signal);
    const tree = await readFiles(session, directory, names, { onProgress: line.at, signal });
    line.end();
    return tree;
  }

  /** A directory as a context. */
  context(directory: string): BuildContext {
    return { open: (request, vertex, signal) => this.#open(directory, request, vertex, signal) };
  }

  async #open(
    directory: string,
    request: ContextRequest,
    vertex: RunningVertex,
    signal: AbortSignal,
  ): Promise<ContextTree> {
    const session = await this.#sessionOf(directory, signal);
    const sharing = JSON.stringify([session.id, directory, request.include, request.exclude]);
    return await this.#options.shared.open(sharing, signal, (until) =>
      this.#receive(session, directory, request, vertex, until),
    );
  }

  async #receive(
    session: Session,
    directory: string,
    request: ContextRequest,
    vertex: RunningVertex,
    signal: AbortSignal,
  ): Promise<ContextTree> {
    const line = new TransferLine(vertex, `transferring ${directory}:`, "transferring");
    const hint = this.#options.sharedKeys.get(directory) ?? "";
    const key = `${directory}:${hint}:${session.sharedKey}`;
    const sync = {
      directory,
      followPaths: request.include,
      excludePatterns: request.exclude,
    };
    const tree = await this.#options.trees.update(key, (writer) =>
      syncDirectory(session, sync, writer, { onProgress: line.at, signal }),
    );
    line.end();
    return {
      root: tree.root,
      cacheName: tree.root,
      known: tree.known,
      [Symbol.asyncDispose]: () => tree[Symbol.asyncDispose](),
    };
  }

  async #sessionOf(directory: string, signal: AbortSignal): Promise<Session> {
    const other = this.#options.localSessions.get(directory);
    if (other !== undefined) return await this.#options.sessions.get(other, signal);
    if (this.#options.session !== undefined) return this.#options.session;
    throw new EngineError("not_found", `no session to read ${directory} from`);
  }
}
