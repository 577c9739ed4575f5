/** A build's sources of files, each brought here once, when it is first needed. */
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import path from "node:path";
import { removeTree } from "@gantry/native";
import { BuildFailure } from "../domain/build-failure.ts";
import type { FilesOp, InlineFile, Vertex } from "../domain/solver/vertex.ts";
import type {
  BuildInputs,
  ContextRequest,
  ContextSource,
  ContextTree,
  LentAgent,
} from "../ports/build-inputs.ts";
import type { Downloads } from "../ports/downloads.ts";
import type { RunningVertex } from "../ports/progress.ts";
import { scratchTree } from "../ports/scratch-tree.ts";

/** Which paths of a context are wanted is known before it is opened. */
export type ContextNeeds = ReadonlyMap<string, ContextRequest>;

/** Opens sources; all are let go of at the end of the build. */
export class OpenedInputs implements AsyncDisposable {
  readonly #inputs: BuildInputs;
  readonly #needs: ContextNeeds;
  readonly #downloads: Downloads;
  readonly #scratchDir: string;
  readonly #open = new Map<string, Promise<ContextTree>>();

  constructor(options: {
    readonly inputs: BuildInputs;
    readonly needs: ContextNeeds;
    readonly downloads: Downloads;
    readonly scratchDir: string;
  }) {
    this.#inputs = options.inputs;
    this.#needs = options.needs;
    this.#downloads = options.downloads;
    this.#scratchDir = options.scratchDir;
  }

  /** The files of a vertex that is no tree. */
  open(vertex: Vertex, running: () => RunningVertex, signal: AbortSignal): Promise<ContextTree> {
    const known = this.#open.get(vertex.digest);
    if (known !== undefined) return known;
    const tree = this.#openNow(vertex, running, signal);
    this.#open.set(vertex.digest, tree);
    return tree;
  }

  async #openNow(
    { op }: Vertex,
    running: () => RunningVertex,
    signal: AbortSignal,
  ): Promise<ContextTree> {
    if (op.kind === "inline") return this.#write(op.files);
    if (op.kind !== "files") throw new TypeError("a tree is not opened as files");
    const vertex = running();
    const [scheme = "", ...rest] = op.source.split(":");
    const name = rest.join(":");
    if (scheme === "context") return await this.#openContext(name, vertex, signal);
    return await this.#download(scheme, name, op, vertex, signal);
  }

  async #openContext(
    name: string,
    vertex: RunningVertex,
    signal: AbortSignal,
  ): Promise<ContextTree> {
    const source: ContextSource | undefined =
      name === "" ? this.#inputs.context : this.#inputs.namedContexts.get(name);
    if (source === undefined) throw new BuildFailure("no build context");
    const needs = this.#needs.get(name) ?? { include: [], exclude: [] };
    if (source.kind === "local") {
      const ignore = await source.ignore?.();
      const request = ignore === undefined ? needs : { ...needs, exclude: ignore.split("\n") };
      return await source.context.open(request, vertex, signal);
    }
    if (source.kind !== "remote") throw new TypeError(`context ${name} has no files`);
    const options = { into: this.#scratch(), agent: this.#agent(signal) };
    return await this.#downloads.context(source.url, options, vertex, signal);
  }

  #download(
    scheme: string,
    url: string,
    { checksum, keepGitDir }: FilesOp,
    vertex: RunningVertex,
    signal: AbortSignal,
  ): Promise<ContextTree> {
    const into = this.#scratch();
    const secret = (id: string): Promise<Uint8Array | undefined> => this.#inputs.secret(id, signal);
    const agent = this.#agent(signal);
    return scheme === "git"
      ? this.#downloads.git({ url, checksum, keepGitDir, into, secret, agent }, vertex, signal)
      : this.#downloads.file({ url, checksum, into }, vertex, signal);
  }

  #agent(signal: AbortSignal): (id: string) => Promise<LentAgent> {
    return (id) => this.#inputs.sshAgent(id, signal);
  }

  #write(files: readonly InlineFile[]): ContextTree {
    const root = this.#scratch();
    for (const { name, content, isProgram = false } of files) {
      const mode = isProgram ? 0o755 : 0o644;
      writeFileSync(path.join(root, path.basename(name)), content, { mode });
    }
    return scratchTree(root);
  }

  #scratch(): string {
    mkdirSync(this.#scratchDir, { recursive: true, mode: 0o700 });
    return mkdtempSync(path.join(this.#scratchDir, "files-"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const tree of this.#open.values()) {
      const opened = await tree.catch(() => undefined);
      await opened?.[Symbol.asyncDispose]();
    }
    // What a failed download left.
    await removeTree(this.#scratchDir);
  }
}
