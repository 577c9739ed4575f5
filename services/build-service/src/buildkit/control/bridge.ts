/** The part of a build that the client drives: what it has solved so far, and what it returned. */
import { randomUUID } from "node:crypto";
import { EngineError, notImplemented } from "@gantry/errors";
import type { Platform } from "@gantry/oci";
import type { BuildResult } from "../../ports/build.ts";
import type { GraphFiles } from "../solve/client-graph.ts";
import type { AttestationMaker } from "../solve/provenance.ts";

/** A finished solve, until its job ends. */
export interface Solved {
  readonly result: BuildResult;
  /** Provenance for images of these names. @param stored whether they become images of the engine */
  readonly attest: (names: readonly string[], stored: boolean) => AttestationMaker | undefined;
  /** What the history tells of how a platform's result was made. */
  readonly predicate: (platform: Platform) => { readonly type: string; readonly bytes: Uint8Array };
  /** Seconds since the epoch that times are set to; undefined: they are real. */
  readonly sourceDateEpoch: number | undefined;
  /** Results are told apart by platform even if there is only one. */
  readonly multiPlatform: boolean;
}

/** What the client returned at the end. */
export interface Returned {
  /** References it returned; those of what has no files are empty. */
  readonly refs: readonly string[];
}

/** References to results, by IDs that can't be guessed. */
export class ResultRefs {
  readonly #solved = new Map<string, Solved>();

  /** Makes an ID. */
  add(solved: Solved): string {
    const id = randomUUID().replaceAll("-", "");
    this.#solved.set(id, solved);
    return id;
  }

  /** Throws not_found for IDs that aren't ours. */
  get(id: string): Solved {
    const solved = this.#solved.get(id);
    if (solved === undefined) throw new EngineError("not_found", `no ref for ${id}`);
    return solved;
  }

  delete(id: string): void {
    this.#solved.delete(id);
  }
}

/** One client's hold on its build. */
export class Bridge implements Disposable {
  readonly #refs: ResultRefs;
  readonly #own = new Set<string>();
  readonly #graphs = new Map<string, GraphFiles>();
  readonly #returned = Promise.withResolvers<Returned>();
  #last: Solved | undefined;

  /** @param refs where results are found by the clients of other builds, too */
  constructor(refs: ResultRefs) {
    this.#refs = refs;
    // Whoever waits for it sees a failure; nobody may.
    this.#returned.promise.catch(() => undefined);
  }

  /** Notes a result; one reference per platform. */
  add(solved: Solved): string[] {
    this.#last = solved;
    return solved.result.platforms.map(() => {
      const id = this.#refs.add(solved);
      this.#own.add(id);
      return id;
    });
  }

  /** Notes files of a graph of the client's own; they can be read, but not exported. */
  addGraph(files: GraphFiles): string {
    const id = randomUUID().replaceAll("-", "");
    this.#graphs.set(id, files);
    return id;
  }

  /** Throws not_found for what is no such reference of this build. */
  graph(id: string): GraphFiles {
    const files = this.#graphs.get(id);
    if (files === undefined) throw new EngineError("not_found", `no ref for ${id}`);
    return files;
  }

  /** Makes a result, unless it is there already: those of steps are whole when they are handed out. */
  async evaluate(id: string): Promise<void> {
    const files = this.#graphs.get(id);
    if (files === undefined) this.#refs.get(id);
    else await files.root();
  }

  /** The client is done. */
  return(returned: Returned): void {
    this.#returned.resolve(returned);
  }

  /** The client has failed. */
  fail(error: Error): void {
    this.#returned.reject(error);
  }

  /** Waits for the client; the result that it returned, undefined when it is none. */
  async returned(signal: AbortSignal): Promise<Solved | undefined> {
    const onAbort = (): void => {
      this.#returned.reject(new EngineError("canceled", "context canceled"));
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
    const { refs } = await this.#returned.promise;
    const named = refs.find((id) => id !== "");
    if (named !== undefined && this.#graphs.has(named))
      throw notImplemented("exporting a build graph of the client's own is not supported");
    // A reference without ID stands for a result without files.
    return named === undefined ? this.#last : this.#refs.get(named);
  }

  [Symbol.dispose](): void {
    for (const id of this.#own) this.#refs.delete(id);
  }
}
