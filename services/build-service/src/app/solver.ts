/**
 * The solver: results of vertices, asked for from the end. What the cache has is not computed, and what
 * is below it not even looked at; what several builds want at once is computed once.
 */
import { randomUUID } from "node:crypto";
import { nowNano } from "@gantry/events";
import { isTree, type Vertex } from "../domain/solver/vertex.ts";
import { BuildError } from "../ports/build.ts";
import type { BuildCache, CacheEntry } from "../ports/build-cache.ts";
import type { Solved, SolvedInputs, VertexWork, WorkEvent } from "../ports/vertex-work.ts";
import type { InUse } from "./in-use.ts";
import { memo } from "./memo.ts";
import type { SharedWork } from "./shared-work.ts";
import { VertexKeys } from "./vertex-keys.ts";
import type { VertexTracker } from "./vertex-tracker.ts";

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
  readonly #created = new Map<string, Promise<bigint | undefined>>();
  readonly #sums = new Map<string, Promise<string>>();
  readonly #keys: VertexKeys;
  readonly #alone: boolean;
  readonly #isFresh: (chainId: string) => boolean;
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
    /** Whether no build has used an image's chain before. */
    readonly isFresh: (chainId: string) => boolean;
  }) {
    this.#alone = options.alone;
    this.#isFresh = options.isFresh;
    this.#shared = options.shared;
    this.#work = options.work;
    this.#tracker = options.tracker;
    this.#signal = options.signal;
    this.#onContainer = options.onContainer;
    const { cache } = options.shared;
    this.#keys = new VertexKeys({ ...options, cache, result: (vertex) => this.result(vertex) });
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
        if (isTree(input)) trees.set(index, await this.result(input));
      }),
    );
    return trees;
  }

  /** The key of a step's result; undefined: no work is done for it. */
  async cacheKey(vertex: Vertex): Promise<string | undefined> {
    const { kind } = vertex.op;
    if (kind !== "run" && kind !== "copy" && kind !== "mkdir") return undefined;
    return (await this.#keys.withEntry(vertex)).key;
  }

  /** Keys of all steps that this build has looked for in the cache or done, of whichever stage. */
  get knownKeys(): readonly string[] {
    return this.#keys.known;
  }

  /** Lets go of the records. */
  release(): void {
    for (const id of this.held.splice(0)) this.#shared.inUse.leave(id);
  }

  async #solve(vertex: Vertex): Promise<Solved> {
    const { op } = vertex;
    if (op.kind === "scratch") return { snapshot: "", key: "scratch" };
    if (op.kind === "image" || op.kind === "layer") {
      const snapshot = op.kind === "image" ? op.chainId : op.snapshot;
      if (op.kind === "image" && !this.#isFresh(op.chainId)) this.#tracker.reused(vertex);
      this.#tracker.cached(vertex);
      return { snapshot, key: await this.#keys.of(vertex) };
    }
    try {
      const { key, entry } = await this.#keys.withEntry(vertex);
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
    const workKey = this.#keys.looksUp(vertex) && !this.#alone ? key : `${this.#id} ${key}`;
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
    const made = this.#keys.looksUp(vertex) ? cache.find(key) : undefined;
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
    const fast = await this.#keys.fast(vertex);
    const replaced = cache.find(key);
    if (replaced !== undefined && !this.#shared.inUse.isUsed(replaced.id)) {
      cache.remove(replaced.id);
      await this.#shared.forget(replaced);
    }
    const entry = {
      ...{ id, snapshot: layerKey, key, type: "regular" as const, sizeBytes },
      ...{ description: this.#work.describe(vertex), createdNano: nowNano() },
    };
    // Nothing is waited for from here on until whoever wants the result has taken it: it could be pruned.
    cache.put(entry, fast === undefined ? [key] : [key, fast]);
    this.#shared.inUse.add(id);
    return { snapshot: layerKey, key };
  }
}

/** Lease that keeps a record's layer and blob. */
export const leaseOwnerOf = (id: string): string => `build-cache-${id}`;
