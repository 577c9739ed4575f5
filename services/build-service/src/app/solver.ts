/**
 * The solver: results of vertices, asked for from the end. What the cache has is not computed, and what
 * is below it not even looked at; what several builds want at once is computed once.
 */
import { randomUUID } from "node:crypto";
import { nowNano } from "@gantry/events";
import { copyIdentity, directoryIdentity, keyOf, runIdentity } from "../domain/solver/cache-key.ts";
import type { CopyOp, Vertex } from "../domain/solver/vertex.ts";
import { BuildError } from "../ports/build.ts";
import type { BuildCache, CacheEntry } from "../ports/build-cache.ts";
import type { LogStream, VertexStatus } from "../ports/progress.ts";
import type { InUse } from "./in-use.ts";
import type { SharedWork } from "./shared-work.ts";
import type { VertexTracker } from "./vertex-tracker.ts";

/** A tree that is there: a layer. */
export interface Solved {
  /** Empty: an empty tree. */
  readonly snapshot: string;
  readonly key: string;
}

/** What work on a vertex tells. */
export type WorkEvent =
  | { readonly kind: "log"; readonly stream: LogStream; readonly bytes: Uint8Array }
  | { readonly kind: "status"; readonly status: VertexStatus }
  /** The container of a RUN. */
  | { readonly kind: "container"; readonly id: string };

/** Does the work of vertices, for one build. */
export interface VertexWork {
  /** Makes the tree of a vertex over its inputs' trees, as a layer under a key with a lease owner. @returns bytes */
  execute(
    vertex: Vertex,
    inputs: SolvedInputs,
    target: { readonly layerKey: string; readonly leaseOwner: string },
    tell: (event: WorkEvent) => void,
    signal: AbortSignal,
  ): Promise<number>;
  /** Checksum of what a source of COPY, or a bind mount, takes from an input that is no tree. */
  contentSum(vertex: Vertex, input: Vertex, path: string, signal: AbortSignal): Promise<string>;
  /** Checksum of what a source takes from a tree. */
  treeSum(
    vertex: Vertex,
    tree: { readonly input: Vertex; readonly snapshot: string },
    path: string,
    signal: AbortSignal,
  ): Promise<string>;
  /** What the classic builder writes for the sources of a COPY. */
  sourcesSum(vertex: Vertex, inputs: SolvedInputs, signal: AbortSignal): Promise<string>;
  /** The name under which a record is listed. */
  describe(vertex: Vertex): string;
  /** Why a vertex failed, with its place. */
  failure(vertex: Vertex, error: unknown): unknown;
}

/** Trees of inputs; those that are files are asked for by the work itself. */
export interface SolvedInputs {
  /** Layer of an input, by its place in `vertex.inputs`; undefined: it is no tree. */
  layer(index: number): Solved | undefined;
}

/** What all builds share. */
export interface SolverShared {
  readonly cache: BuildCache;
  readonly work: SharedWork<Solved, WorkEvent>;
  readonly inUse: InUse;
  /** Lets go of a record's layer. */
  readonly forget: (entry: CacheEntry) => Promise<void>;
}

/** One build's part of the solver. */
export class SolveSession {
  readonly #shared: SolverShared;
  readonly #work: VertexWork;
  readonly #tracker: VertexTracker;
  readonly #signal: AbortSignal;
  readonly #id = randomUUID();
  readonly #results = new Map<string, Promise<Solved>>();
  readonly #keys = new Map<string, Promise<string>>();
  readonly #contentKeys = new Map<string, Promise<string>>();
  readonly #created = new Map<string, Promise<bigint | undefined>>();
  readonly #sums = new Map<string, Promise<string>>();
  readonly #made = new Map<string, boolean>();
  readonly #known = new Set<string>();
  /** COPYs whose key waits for those of others, and what begins the work that they will want then. */
  readonly #waiting = new Set<() => void>();
  readonly #alone: boolean;
  readonly #onContainer: (vertex: Vertex, id: string) => void;
  /** Records that this build relies on. */
  readonly held: string[] = [];

  constructor(options: {
    readonly shared: SolverShared;
    readonly work: VertexWork;
    readonly tracker: VertexTracker;
    readonly signal: AbortSignal;
    readonly onContainer: (vertex: Vertex, id: string) => void;
    /** Its steps are no other build's. */
    readonly alone: boolean;
  }) {
    this.#alone = options.alone;
    this.#shared = options.shared;
    this.#work = options.work;
    this.#tracker = options.tracker;
    this.#signal = options.signal;
    this.#onContainer = options.onContainer;
  }

  /** The tree of a vertex. */
  result(vertex: Vertex): Promise<Solved> {
    return memo(this.#results, vertex.digest, () => this.#solve(vertex));
  }

  /** A vertex's layer was packed, and has another key from now on. */
  moved(vertex: Vertex, snapshot: string): void {
    const before = this.result(vertex);
    this.#results.set(
      vertex.digest,
      before.then((solved) => ({ ...solved, snapshot })),
    );
  }

  /** When the solved tree of a vertex was made; undefined: not known, or no work was done for it. */
  createdNano(vertex: Vertex): Promise<bigint | undefined> {
    return memo(this.#created, vertex.digest, async () => {
      const key = await this.cacheKey(vertex);
      return key === undefined ? undefined : this.#shared.cache.find(key)?.createdNano;
    });
  }

  /** What the classic builder writes for the sources of a COPY; of a step that is solved. */
  sourcesSum(vertex: Vertex): Promise<string> {
    return memo(this.#sums, vertex.digest, async () => {
      const { fileSums } = this.#shared.cache;
      const identity = `sources ${(await this.cacheKey(vertex)) ?? ""}`;
      const known = fileSums.get(identity);
      if (known !== undefined) return known;
      const trees = await this.#treesOf(vertex);
      const inputs: SolvedInputs = { layer: (index) => trees.get(index) };
      const sum = await this.#work.sourcesSum(vertex, inputs, this.#signal);
      fileSums.set(identity, sum);
      return sum;
    });
  }

  async #treesOf({ inputs }: Vertex): Promise<ReadonlyMap<number, Solved>> {
    const trees = new Map<number, Solved>();
    await Promise.all(
      inputs.map(async (input, index) => {
        if (SolveSession.isTree(input)) trees.set(index, await this.result(input));
      }),
    );
    return trees;
  }

  /** The key of a step's result; undefined: no work is done for it. */
  async cacheKey(vertex: Vertex): Promise<string | undefined> {
    const { kind } = vertex.op;
    if (kind !== "run" && kind !== "copy" && kind !== "mkdir") return undefined;
    return (await this.#keyAndEntry(vertex)).key;
  }

  /** Keys of all steps that this build has looked for in the cache or done, of whichever stage. */
  get knownKeys(): readonly string[] {
    return [...this.#known];
  }

  /** Lets go of the records. */
  release(): void {
    for (const id of this.held.splice(0)) this.#shared.inUse.leave(id);
  }

  /** Whether a vertex has a tree, and no files of elsewhere. */
  static isTree({ op }: Vertex): boolean {
    return op.kind !== "files" && op.kind !== "inline";
  }

  async #solve(vertex: Vertex): Promise<Solved> {
    const { op } = vertex;
    if (op.kind === "scratch") return { snapshot: "", key: "scratch" };
    if (op.kind === "image" || op.kind === "layer") {
      const snapshot = op.kind === "image" ? op.chainId : op.snapshot;
      this.#tracker.cached(vertex);
      return { snapshot, key: await this.#key(vertex) };
    }
    try {
      const { key, entry } = await this.#keyAndEntry(vertex);
      if (entry !== undefined && this.#take(entry)) {
        this.#tracker.cached(vertex);
        return { snapshot: entry.snapshot, key: entry.key };
      }
      return await this.#compute(vertex, key);
    } catch (error) {
      const own = !(error instanceof BuildError) || error.vertex === vertex.digest;
      if (own) this.#tracker.end(vertex.digest, error);
      throw this.#work.failure(vertex, error);
    }
  }

  /** What is wrong with the sources of a vertex is its own failure, also when others ask for its key. */
  async #asItsOwn<T>(vertex: Vertex, sums: Promise<T>): Promise<T> {
    try {
      return await sums;
    } catch (error) {
      const failure = this.#work.failure(vertex, error);
      if (failure !== error) this.#tracker.end(vertex.digest, error);
      throw failure;
    }
  }

  /** False when the record has gone. */
  #take(entry: CacheEntry): boolean {
    if (!this.#shared.inUse.enter(entry.id)) return false;
    // A build uses a record once, however many of its steps are that one.
    if (!this.held.includes(entry.id)) this.#shared.cache.use(entry.id);
    this.held.push(entry.id);
    return true;
  }

  async #compute(vertex: Vertex, key: string): Promise<Solved> {
    const trees = await this.#treesOf(vertex);
    this.#signal.throwIfAborted();
    this.#tracker.start(vertex.digest);
    const running = this.#tracker.running(vertex.digest);
    const listener = (event: WorkEvent): void => {
      if (event.kind === "log") running.log(event.stream, event.bytes);
      else if (event.kind === "status") running.status(event.status);
      else this.#onContainer(vertex, event.id);
    };
    // What passes the cache over, and what leaves its container, is done for this build only.
    const workKey = this.#looksUp(vertex) && !this.#alone ? key : `${this.#id} ${key}`;
    const solved = await this.#shared.work.join(workKey, this.#signal, listener, (signal, tell) =>
      this.#execute(vertex, key, trees, tell, signal),
    );
    const entry = this.#shared.cache.find(solved.key);
    if (entry !== undefined) this.#take(entry);
    this.#tracker.end(vertex.digest);
    return solved;
  }

  async #execute(
    vertex: Vertex,
    key: string,
    trees: ReadonlyMap<number, Solved>,
    tell: (event: WorkEvent) => void,
    signal: AbortSignal,
  ): Promise<Solved> {
    const { cache } = this.#shared;
    // Another build may have made it between our look and now.
    const made = this.#looksUp(vertex) ? cache.find(key) : undefined;
    if (made !== undefined) return { snapshot: made.snapshot, key };
    const id = randomUUID().replaceAll("-", "").slice(0, 25);
    const layerKey = `build/${id}`;
    const leaseOwner = leaseOwnerOf(id);
    const inputs: SolvedInputs = { layer: (index) => trees.get(index) };
    const sizeBytes = await this.#work.execute(
      vertex,
      inputs,
      { layerKey, leaseOwner },
      tell,
      signal,
    );
    const replaced = cache.find(key);
    const entry = {
      ...{ id, snapshot: layerKey, key, type: "regular" as const, sizeBytes },
      ...{ description: this.#work.describe(vertex), createdNano: nowNano() },
    };
    const fast = await this.#fastKey(vertex);
    cache.put(entry, fast === undefined ? [key] : [key, fast]);
    this.#shared.inUse.add(id);
    if (replaced !== undefined && !this.#shared.inUse.isUsed(replaced.id)) {
      cache.remove(replaced.id);
      await this.#shared.forget(replaced);
    }
    return { snapshot: layerKey, key };
  }

  #key(vertex: Vertex): Promise<string> {
    return memo(this.#keys, vertex.digest, () => this.#computeKey(vertex));
  }

  async #computeKey(vertex: Vertex): Promise<string> {
    const { op } = vertex;
    switch (op.kind) {
      case "scratch":
        return "scratch";
      case "image":
        return keyOf("layer", op.chainId);
      case "layer":
        return keyOf("layer", op.snapshot);
      case "inline":
        return keyOf("inline", op.files);
      case "files":
        return await this.#work.contentSum(vertex, vertex, "/", this.#signal);
      case "mkdir":
        return this.#know(keyOf(directoryIdentity(op), await this.#inputKey(vertex, 0)));
      case "run": {
        const below = await this.#inputKey(vertex, 0);
        return this.#know(keyOf(runIdentity(op), below, await this.#mountKeys(vertex)));
      }
      case "copy":
        return this.#know((await this.#keyAndEntry(vertex)).key);
    }
  }

  #know(key: string): string {
    this.#known.add(key);
    return key;
  }

  async #mountKeys(vertex: Vertex): Promise<string[]> {
    if (vertex.op.kind !== "run") return [];
    const keys = vertex.op.mounts.map(async (mount): Promise<string> => {
      if (mount.type !== "bind") return "";
      const input = inputOf(vertex, mount.input);
      if (SolveSession.isTree(input)) return await this.#key(input);
      return await this.#work.contentSum(vertex, input, mount.source, this.#signal);
    });
    return await this.#asItsOwn(vertex, Promise.all(keys));
  }

  async #inputKey(vertex: Vertex, index: number): Promise<string> {
    return await this.#key(inputOf(vertex, index));
  }

  /** The key that children know a vertex by, and its record if there is one that counts. */
  async #keyAndEntry(
    vertex: Vertex,
  ): Promise<{ readonly key: string; readonly entry: CacheEntry | undefined }> {
    const { cache } = this.#shared;
    const { op } = vertex;
    const looksUp = this.#looksUp(vertex);
    if (op.kind !== "copy") {
      const key = await this.#key(vertex);
      return { key, entry: looksUp ? cache.find(key) : undefined };
    }
    const fast = await this.#fastKeyOrPrepare(vertex);
    const isMade = this.#isMadeAnew(vertex);
    const hit = fast === undefined || isMade ? undefined : cache.find(fast);
    if (hit !== undefined) return { key: hit.key, entry: hit };
    // The build is not all cached: those who wait for our key will have to look at their sources, too.
    for (const prepare of this.#waiting) prepare();
    const key = await memo(this.#contentKeys, vertex.digest, () => this.#slowKey(vertex, op));
    const entry = looksUp ? cache.find(key) : undefined;
    if (entry !== undefined && fast !== undefined) cache.addKey(fast, entry.id);
    return { key, entry };
  }

  /** The fast key. While it waits for a step that has to be done, the stages that it copies from are begun. */
  async #fastKeyOrPrepare(vertex: Vertex): Promise<string | undefined> {
    const prepare = (): void => {
      for (const source of vertex.inputs.slice(1)) {
        // Who asks for it again hears of its failure.
        if (SolveSession.isTree(source)) this.result(source).catch(() => undefined);
      }
    };
    this.#waiting.add(prepare);
    try {
      return await this.#fastKey(vertex);
    } finally {
      this.#waiting.delete(prepare);
    }
  }

  /** Key of a COPY by what its sources were made of; undefined when some are files of elsewhere. */
  async #fastKey(vertex: Vertex): Promise<string | undefined> {
    const { op, inputs } = vertex;
    if (op.kind !== "copy" || !inputs.every(SolveSession.isTree)) return undefined;
    const keys = await Promise.all(inputs.map((input) => this.#key(input)));
    return keyOf("copied", op, keys);
  }

  /** Whether a record may stand for a vertex: what a COPY takes from a stage made anew may be what it was. */
  #looksUp(vertex: Vertex): boolean {
    if (vertex.op.kind !== "copy") return !this.#isMadeAnew(vertex);
    return !vertex.ignoreCache && !this.#isMadeAnew(inputOf(vertex, 0));
  }

  /** Whether a vertex, or one that it is made of, passes the cache over. */
  #isMadeAnew(vertex: Vertex): boolean {
    const known = this.#made.get(vertex.digest);
    if (known !== undefined) return known;
    const made = vertex.ignoreCache || vertex.inputs.some((input) => this.#isMadeAnew(input));
    this.#made.set(vertex.digest, made);
    return made;
  }

  /** Key of a COPY by the content of its sources. */
  async #slowKey(vertex: Vertex, op: CopyOp): Promise<string> {
    const [parent, ...sums] = await Promise.all([
      this.#inputKey(vertex, 0),
      ...op.sources.map((source) =>
        this.#asItsOwn(vertex, this.#sourceSum(vertex, source.input, source.path)),
      ),
    ]);
    return keyOf(copyIdentity(op), parent, sums);
  }

  async #sourceSum(vertex: Vertex, index: number, path: string): Promise<string> {
    const input = inputOf(vertex, index);
    if (input.op.kind === "inline") {
      return keyOf(input.op.files.filter(({ name }) => name === path));
    }
    if (!SolveSession.isTree(input)) {
      return await this.#work.contentSum(vertex, input, path, this.#signal);
    }
    const { snapshot } = await this.result(input);
    return await this.#work.treeSum(vertex, { input, snapshot }, path, this.#signal);
  }
}

/** Lease that keeps a record's layer and blob. */
export const leaseOwnerOf = (id: string): string => `build-cache-${id}`;

function inputOf(vertex: Vertex, index: number): Vertex {
  const input = vertex.inputs[index];
  if (input === undefined)
    throw new RangeError(`vertex ${vertex.digest} has no input ${String(index)}`);
  return input;
}

function memo<T>(map: Map<string, Promise<T>>, key: string, work: () => Promise<T>): Promise<T> {
  const known = map.get(key);
  if (known !== undefined) return known;
  const result = work();
  map.set(key, result);
  return result;
}
