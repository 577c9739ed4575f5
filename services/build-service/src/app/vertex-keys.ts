/**
 * What vertices are known by in the cache. The key of a step is that of its inputs with what is done to them; a COPY
 * has two: a fast one, by what its sources were made of, and one by what is in them, for which they must be there.
 */
import { copyIdentity, directoryIdentity, keyOf, runIdentity } from "../domain/solver/cache-key.ts";
import { type CopyOp, inputOf, isTree, type Vertex } from "../domain/solver/vertex.ts";
import type { BuildCache, CacheEntry } from "../ports/build-cache.ts";
import type { Solved, VertexWork } from "../ports/vertex-work.ts";
import { memo } from "./memo.ts";
import type { VertexTracker } from "./vertex-tracker.ts";

/** What keys are made with, for one build. */
interface KeyContext {
  readonly cache: BuildCache;
  readonly work: VertexWork;
  readonly tracker: VertexTracker;
  readonly signal: AbortSignal;
  /** The tree of a vertex, whose content counts. */
  readonly result: (vertex: Vertex) => Promise<Solved>;
}

/** One build's keys. */
export class VertexKeys {
  readonly #cache: BuildCache;
  readonly #work: VertexWork;
  readonly #tracker: VertexTracker;
  readonly #signal: AbortSignal;
  readonly #result: KeyContext["result"];
  readonly #keys = new Map<string, Promise<string>>();
  readonly #contentKeys = new Map<string, Promise<string>>();
  readonly #made = new Map<string, boolean>();
  readonly #known = new Set<string>();
  /** COPYs whose key waits for those of others, and what begins the work that they will want then. */
  readonly #waiting = new Set<() => void>();

  constructor({ cache, work, tracker, signal, result }: KeyContext) {
    this.#cache = cache;
    this.#work = work;
    this.#tracker = tracker;
    this.#signal = signal;
    this.#result = result;
  }

  /** Keys of all steps that were looked for in the cache or done. */
  get known(): readonly string[] {
    return [...this.#known];
  }

  /** The key that children know a vertex by, and its record if there is one that counts. */
  async withEntry(
    vertex: Vertex,
  ): Promise<{ readonly key: string; readonly entry: CacheEntry | undefined }> {
    const cache = this.#cache;
    const { op } = vertex;
    const looksUp = this.looksUp(vertex);
    if (op.kind !== "copy") {
      const key = await this.of(vertex);
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

  /** The key that children know a vertex by. */
  of(vertex: Vertex): Promise<string> {
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
        return this.#know((await this.withEntry(vertex)).key);
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
      if (isTree(input)) return await this.of(input);
      return await this.#work.contentSum(vertex, input, mount.source, this.#signal);
    });
    return await this.#asItsOwn(vertex, Promise.all(keys));
  }

  async #inputKey(vertex: Vertex, index: number): Promise<string> {
    return await this.of(inputOf(vertex, index));
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

  /** The fast key. While it waits for a step that has to be done, the stages that it copies from are begun. */
  async #fastKeyOrPrepare(vertex: Vertex): Promise<string | undefined> {
    const prepare = (): void => {
      for (const source of vertex.inputs.slice(1)) {
        // Who asks for it again hears of its failure.
        if (isTree(source)) this.#result(source).catch(() => undefined);
      }
    };
    this.#waiting.add(prepare);
    try {
      return await this.fast(vertex);
    } finally {
      this.#waiting.delete(prepare);
    }
  }

  /** Key of a COPY by what its sources were made of; undefined when some are files of elsewhere. */
  async fast(vertex: Vertex): Promise<string | undefined> {
    const { op, inputs } = vertex;
    if (op.kind !== "copy" || !inputs.every(isTree)) return undefined;
    const keys = await Promise.all(inputs.map((input) => this.of(input)));
    return keyOf("copied", op, keys);
  }

  /** Whether a record may stand for a vertex: what a COPY takes from a stage made anew may be what it was. */
  looksUp(vertex: Vertex): boolean {
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
    if (!isTree(input)) {
      return await this.#work.contentSum(vertex, input, path, this.#signal);
    }
    const { snapshot } = await this.#result(input);
    return await this.#work.treeSum(vertex, { input, snapshot }, path, this.#signal);
  }
}
