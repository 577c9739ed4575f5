/** What vertices do, bound to one build: its inputs, its limits. */

import { createReadStream } from "node:fs";
import { BuildFailure, DownloadFailure, MissingSource } from "../domain/build-failure.ts";
import { sourcesText } from "../domain/frontend/history-texts.ts";
import {
  type CopyOp,
  type CopySource,
  inputOf,
  type RunMount,
  type RunOp,
  type Vertex,
} from "../domain/solver/vertex.ts";
import { BuildError, type BuildRequest, type ErrorPlace } from "../ports/build.ts";
import type { BuildInputs, KnownFiles } from "../ports/build-inputs.ts";
import type { CacheMounts } from "../ports/cache-mounts.ts";
import type { StepContainer, StepContainers } from "../ports/containers.ts";
import type { Archives } from "../ports/downloads.ts";
import type { FileOwner, FileWork, UnknownOwner } from "../ports/file-work.ts";
import type { Layers, ReadableTree } from "../ports/layers.ts";
import type { SolvedInputs, VertexWork, WorkEvent } from "../ports/vertex-work.ts";
import type { OpenedInputs } from "./build-inputs-opened.ts";
import { type BoundMounts, missingSource, StepMounts } from "./step-mounts.ts";
import type { VertexTracker } from "./vertex-tracker.ts";

/** Everything that work is bound to. */
export interface WorkContext {
  readonly request: BuildRequest;
  readonly inputs: BuildInputs;
  readonly opened: OpenedInputs;
  readonly tracker: VertexTracker;
  readonly layers: Layers;
  readonly containers: StepContainers;
  readonly files: FileWork;
  readonly archives: Archives;
  readonly cacheMounts: CacheMounts;
  /** A folder for secrets, in memory. */
  readonly secretDir: string;
}

interface Target {
  readonly layerKey: string;
  readonly leaseOwner: string;
}

/** Makes a RUN's exit code message. */
const outOfMemory = "cannot allocate memory";

export class BoundWork implements VertexWork {
  readonly #context: WorkContext;
  readonly #mounts: StepMounts;

  constructor(context: WorkContext) {
    this.#context = context;
    this.#mounts = new StepMounts(context, (...source) => this.#openSource(...source));
  }

  async execute(
    vertex: Vertex,
    inputs: SolvedInputs,
    target: Target,
    tell: (event: WorkEvent) => void,
    signal: AbortSignal,
  ): Promise<number> {
    const { op } = vertex;
    switch (op.kind) {
      case "run":
        return await this.#run(vertex, op, inputs, target, tell, signal);
      case "copy":
        return await this.#copy(vertex, op, inputs, target, signal);
      case "mkdir":
        return await this.#change(inputs, target, signal, (root) => {
          const { files } = this.#context;
          const owner = files.findOwner(root, op.owner, hasTree(inputs) ? "root" : "no tree");
          files.makeDirectories(root, op.path, owner);
          return Promise.resolve();
        });
      default:
        throw new TypeError(`a ${op.kind} is not executed`);
    }
  }

  async contentSum(
    vertex: Vertex,
    input: Vertex,
    source: string,
    signal: AbortSignal,
  ): Promise<string> {
    const { root, known } = await this.#openFiles(input, signal);
    return await this.#sum(vertex, { root, known }, source, false, signal);
  }

  async treeSum(
    vertex: Vertex,
    { input, snapshot }: { readonly input: Vertex; readonly snapshot: string },
    source: string,
    signal: AbortSignal,
  ): Promise<string> {
    await using tree = await this.#read(snapshot, signal);
    const sum = this.#sum(vertex, { root: tree.root, known: undefined }, source, true, signal);
    return await sum.catch((error: unknown) => {
      const isClassic = this.#context.request.order === "sequential";
      if (isClassic || !(error instanceof MissingSource) || !isGiven(input)) throw error;
      throw new BuildFailure(`lstat ${error.path}: no such file or directory`);
    });
  }

  async #sum(
    { op }: Vertex,
    { root, known }: { readonly root: string; readonly known: KnownFiles | undefined },
    source: string,
    owners: boolean,
    signal: AbortSignal,
  ): Promise<string> {
    const { exclude, parents } = op.kind === "copy" ? op : { exclude: [], parents: false };
    const options = { exclude, parents, owners, known, signal };
    try {
      return await this.#context.files.sum(root, source, options);
    } catch (error) {
      if (error instanceof MissingSource) throw missingSource(error);
      throw error;
    }
  }

  async sourcesSum(vertex: Vertex, inputs: SolvedInputs, signal: AbortSignal): Promise<string> {
    const { op } = vertex;
    if (op.kind !== "copy") throw new TypeError(`a ${op.kind} has no sources`);
    const sums: string[] = [];
    for (const { input, path, name } of op.sources) {
      await using from = await this.#openSource(vertex, input, inputs, signal);
      sums.push(
        ...(await this.#context.files.tarSums(from.root, path, {
          name,
          ofTree: op.keepOwner,
          signal,
        })),
      );
    }
    return sourcesText(sums);
  }

  describe({ op, name }: Vertex): string {
    if (op.kind === "run") return `mount / from exec ${op.args.join(" ")}`;
    return name;
  }

  failure(vertex: Vertex, error: unknown): unknown {
    if (error instanceof BuildError || !(error instanceof Error)) return error;
    if (error.name === "AbortError") return error;
    const lines = error instanceof BuildFailure ? (error.lines ?? vertex.lines) : vertex.lines;
    const place = lines && this.#placeOf(lines);
    const message = whatFailed(error) + error.message;
    return new BuildError(message, { place, vertex: vertex.digest, cause: error });
  }

  #placeOf(lines: ErrorPlace["lines"]): ErrorPlace {
    const { name, bytes } = this.#context.inputs.dockerfile;
    return { file: name, source: bytes, lines };
  }

  /** The files of a vertex that is no tree. */
  #openFiles(input: Vertex, signal: AbortSignal) {
    const { opened, tracker } = this.#context;
    const begin = () => {
      tracker.start(input.digest);
      return tracker.running(input.digest);
    };
    const tree = opened.open(input, begin, signal).catch((error: unknown) => {
      throw this.failure(input, error);
    });
    tree.then(
      () => {
        tracker.end(input.digest);
      },
      (error: unknown) => {
        const { cause } = error instanceof BuildError ? error : { cause: undefined };
        tracker.end(input.digest, cause ?? error);
      },
    );
    return tree;
  }

  async #read(snapshot: string, signal: AbortSignal): Promise<ReadableTree> {
    return await this.#context.layers.read(snapshot, signal);
  }

  /** Changes input 0 by work on its mounted tree. */
  async #change(
    inputs: SolvedInputs,
    target: Target,
    signal: AbortSignal,
    work: (root: string) => Promise<void>,
  ): Promise<number> {
    const parent = inputs.layer(0)?.snapshot ?? "";
    await using tree = await this.#context.layers.write(parent, signal);
    await work(tree.root);
    return await tree.commit(target.layerKey, target.leaseOwner);
  }

  async #copy(
    vertex: Vertex,
    op: CopyOp,
    inputs: SolvedInputs,
    target: Target,
    signal: AbortSignal,
  ): Promise<number> {
    return await this.#change(inputs, target, signal, async (root) => {
      const { files } = this.#context;
      const fallback = op.keepOwner ? undefined : { uid: 0, gid: 0 };
      const unknown = this.#unknownOwner(inputs);
      await using held = new AsyncDisposableStack();
      const opened: { readonly source: CopySource; readonly from: string }[] = [];
      for (const source of op.sources) {
        const from = held.use(await this.#openSource(vertex, source.input, inputs, signal));
        opened.push({ source, from: from.root });
      }
      if (op.classic === true) {
        const counts = opened.map(({ source, from }) => files.count(from, source.path));
        refuseCount(
          vertex,
          op,
          counts.reduce((sum, count) => sum + count, 0),
        );
      }
      const owner = op.chown === undefined ? fallback : files.findOwner(root, op.chown, unknown);
      for (const { source, from } of opened)
        await this.#copySource(op, source, from, root, owner, signal);
    });
  }

  #unknownOwner(inputs: SolvedInputs): UnknownOwner {
    if (this.#context.request.order === "sequential") return "refuse";
    return hasTree(inputs) ? "root" : "no tree";
  }

  async #openSource(
    vertex: Vertex,
    index: number,
    inputs: SolvedInputs,
    signal: AbortSignal,
  ): Promise<ReadableTree> {
    const solved = inputs.layer(index);
    if (solved !== undefined) return await this.#read(solved.snapshot, signal);
    const { root } = await this.#openFiles(inputOf(vertex, index), signal);
    return { root, [Symbol.asyncDispose]: () => Promise.resolve() };
  }

  async #copySource(
    op: CopyOp,
    source: CopySource,
    fromRoot: string,
    toRoot: string,
    owner: FileOwner | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const { files, archives } = this.#context;
    if (source.unpack) {
      const plain = files.plainFiles(fromRoot, source.path);
      const [only] = plain;
      if (plain.length === 1 && only !== undefined && (await archives.hasEntries(only, signal))) {
        const owned = op.chown === undefined ? undefined : owner;
        files.makeDirectories(toRoot, op.destination, owner ?? { uid: 0, gid: 0 });
        const place = { root: toRoot, path: op.destination };
        await archives.unpack(createReadStream(only), place, owned, signal);
        return;
      }
    }
    await files.copy({
      from: { root: fromRoot, path: source.path, name: source.name },
      ...{ toRoot, destination: op.destination, owner, chmod: op.chmod, signal },
      ...{ parents: op.parents, exclude: op.exclude, link: op.link },
      classic: op.classic === true,
    });
  }

  async #run(
    vertex: Vertex,
    op: RunOp,
    inputs: SolvedInputs,
    target: Target,
    tell: (event: WorkEvent) => void,
    signal: AbortSignal,
  ): Promise<number> {
    const { request, containers, layers } = this.#context;
    await using held = new AsyncDisposableStack();
    const bound: BoundMounts = { binds: [], tmpfs: [], env: [], secretEnv: [] };
    for (const mount of op.mounts) {
      await this.#mounts
        .bind(vertex, mount, { inputs, held, bound, signal })
        .catch((error: unknown) => {
          throw this.#bindFailure(vertex, op, mount, error);
        });
    }
    const container: StepContainer = {
      parentLayer: inputs.layer(0)?.snapshot ?? "",
      args: op.args,
      env: [...op.proxyEnv, ...op.env, ...bound.env],
      secretEnv: bound.secretEnv,
      ...{ cwd: op.cwd, user: op.user, network: op.network },
      hostname: op.hostname || request.defaultHostname,
      extraHosts: request.extraHosts,
      privileged: op.insecure,
      limits: request.limits,
      binds: bound.binds,
      tmpfs: bound.tmpfs,
      volumes: op.volumes,
      label: vertex.digest,
      leave: request.leave,
    };
    const mountPoints = [...bound.binds, ...bound.tmpfs].map((each) => each.target);
    let sizeBytes = 0;
    const running = containers.run(
      container,
      {
        onStart: (id) => {
          tell({ kind: "container", id });
        },
        onOutput: (stream, bytes) => {
          tell({ kind: "log", stream, bytes });
        },
        async finish(id, { exitCode }) {
          if (exitCode !== 0) return;
          const keep = request.leave === "all";
          sizeBytes = await layers.commitSnapshot(id, mountPoints, { ...target, keep });
        },
      },
      signal,
    );
    const run = await running.catch((error: unknown) => {
      if (signal.aborted) throw error;
      const reason = request.order === "parallel" ? notStarted(error) : undefined;
      if (reason === undefined) throw this.#startFailure(vertex, op, error);
      // As of BuildKit's runtime: a program that says why, and fails.
      const bytes = Buffer.from(`runc run failed: unable to start container process: ${reason}\n`);
      tell({ kind: "log", stream: 2, bytes });
      throw this.#exitFailure(vertex, op, 1, false);
    });
    if (run.exitCode !== 0) throw this.#exitFailure(vertex, op, run.exitCode, run.oomKilled);
    return sizeBytes;
  }

  /** To BuildKit what is not in an image fails the program; of a stage's tree it is missed before. */
  #bindFailure(vertex: Vertex, op: RunOp, mount: RunMount, error: unknown): unknown {
    if (!(error instanceof MissingSource)) return error;
    const input = mount.type === "bind" || mount.type === "cache" ? mount.input : undefined;
    const tree = vertex.inputs[input ?? 0];
    if (mount.type === "bind" && tree !== undefined && !isGiven(tree)) return missingSource(error);
    const reason = new Error(`open ${error.path}: no such file or directory`, { cause: error });
    return this.#startFailure(vertex, op, reason);
  }

  /** The program did not even run. */
  #startFailure(vertex: Vertex, op: RunOp, error: unknown): unknown {
    if (!(error instanceof Error)) return error;
    const command = op.args.join(" ");
    return new BuildError(
      `process ${JSON.stringify(command)} did not complete successfully: ${error.message}`,
      { place: vertex.lines && this.#placeOf(vertex.lines), vertex: vertex.digest, cause: error },
    );
  }

  #exitFailure(vertex: Vertex, op: RunOp, exitCode: number, oomKilled: boolean): BuildError {
    const command = op.args.join(" ");
    const reason = oomKilled ? `: ${outOfMemory}` : "";
    return new BuildError(
      `process ${JSON.stringify(command)} did not complete successfully: exit code: ${String(exitCode)}${reason}`,
      {
        place: vertex.lines && this.#placeOf(vertex.lines),
        vertex: vertex.digest,
        exitCode,
        command,
      },
    );
  }
}

/** What BuildKit was about when a source failed: the error tells it, the vertex does not. */
function whatFailed(error: Error): string {
  if (error instanceof DownloadFailure) return "failed to load cache key: ";
  return error instanceof MissingSource ? "failed to compute cache key: " : "";
}

/** A tree that no step has made: BuildKit takes no sums of it. */
const isGiven = ({ op }: Vertex): boolean => op.kind === "image" || op.kind === "scratch";

/** Why a program could not be executed; undefined when it was something else that failed. */
function notStarted(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  return /unable to start container process: (?:error during container init: )?(exec: .*?)(?:: unknown)?$/s.exec(
    error.message,
  )?.[1];
}

/** Whether there is anything that a step changes: not so at the beginning of scratch. */
function hasTree(inputs: SolvedInputs): boolean {
  return (inputs.layer(0)?.snapshot ?? "") !== "";
}

/** The classic builder counts what its sources mean. BuildKit copies one after the other to the same place, or nothing. */
function refuseCount({ name }: Vertex, { destination }: CopyOp, found: number): void {
  const keyword = /^\[[^\]]*\] ADD /.test(name) ? "ADD" : "COPY";
  if (found === 0) throw new BuildFailure(`${keyword} failed: no source files were specified`);
  if (found === 1 || destination.endsWith("/")) return;
  throw new BuildFailure(
    `When using ${keyword} with more than one source file, the destination must be a directory and end with a /`,
  );
}
