/** A build's vertices as they are told: announced, started, ended, each once. */
import { nowNano } from "@gantry/events";
import type { Vertex } from "../domain/solver/vertex.ts";
import type {
  LogStream,
  ProgressSink,
  RunningVertex,
  VertexState,
  VertexStatus,
} from "../ports/progress.ts";

/** Keeps the states and tells the sink. */
export class VertexTracker {
  readonly #sink: ProgressSink;
  readonly #states = new Map<string, VertexState>();

  constructor(sink: ProgressSink) {
    this.#sink = sink;
  }

  /** Tells of vertices before anything is done. */
  announce(vertices: readonly Vertex[]): void {
    for (const { digest, name, inputs, op } of vertices) {
      if (this.#states.has(digest) || op.kind === "scratch") continue;
      this.#put({
        digest,
        name,
        inputs: inputs.flatMap((input) => (input.op.kind === "scratch" ? [] : [input.digest])),
        startedNano: undefined,
        completedNano: undefined,
        cached: false,
        error: "",
      });
    }
  }

  /** A vertex that is no part of the graph: `[internal] …`. */
  internal(digest: string, name: string): RunningVertex & { end(error?: unknown): void } {
    this.#put({
      ...{ digest, name, inputs: [], startedNano: nowNano(), completedNano: undefined },
      ...{ cached: false, error: "" },
    });
    return {
      ...this.running(digest),
      end: (error) => {
        this.end(digest, error);
      },
    };
  }

  start(digest: string): void {
    const state = this.#states.get(digest);
    if (state === undefined || state.startedNano !== undefined) return;
    this.#put({ ...state, startedNano: nowNano() });
  }

  end(digest: string, error?: unknown): void {
    const state = this.#states.get(digest);
    if (state === undefined || state.completedNano !== undefined) return;
    const completedNano = nowNano();
    const text = error === undefined ? "" : messageOf(error);
    this.#put({
      ...state,
      startedNano: state.startedNano ?? completedNano,
      completedNano,
      error: text,
    });
  }

  /** An image was found, and maybe nothing else of it is needed. */
  resolved(vertex: Vertex): void {
    this.start(vertex.digest);
    this.#tellResolved(vertex);
    this.end(vertex.digest);
  }

  #tellResolved({ digest, resolved }: Vertex): void {
    if (resolved === "") return;
    const now = nowNano();
    const line = { id: `resolve ${resolved}`, name: "", current: 0, total: 0 };
    this.#sink.status(digest, { ...line, startedNano: now, completedNano: now });
  }

  /** A resolved image's tree is worked on, which an earlier build has done, too. */
  reused({ digest }: Vertex): void {
    const state = this.#states.get(digest);
    if (state?.completedNano === undefined || state.cached) return;
    const now = nowNano();
    this.#put({ ...state, startedNano: now, completedNano: now, cached: true });
  }

  /** A vertex, and all below it that nothing was done for, were there already. */
  cached(vertex: Vertex): void {
    const state = this.#states.get(vertex.digest);
    if (state === undefined || state.completedNano !== undefined) return;
    for (const input of vertex.inputs) this.cached(input);
    const now = nowNano();
    this.#tellResolved(vertex);
    this.#put({
      ...state,
      startedNano: state.startedNano ?? now,
      completedNano: now,
      cached: true,
    });
  }

  /** Ends what is still open, at the end of the build. */
  close(error: unknown): void {
    for (const { digest, startedNano, completedNano } of [...this.#states.values()]) {
      if (startedNano !== undefined && completedNano === undefined) this.end(digest, error);
    }
  }

  isCached(digest: string): boolean {
    return this.#states.get(digest)?.cached ?? false;
  }

  running(digest: string): RunningVertex {
    return {
      digest,
      status: (status: VertexStatus) => {
        this.#sink.status(digest, status);
      },
      log: (stream: LogStream, bytes: Uint8Array) => {
        this.#sink.log(digest, stream, bytes);
      },
    };
  }

  #put(state: VertexState): void {
    this.#states.set(state.digest, state);
    this.#sink.vertex(state);
  }
}

function messageOf(error: unknown): string {
  if (error instanceof Error && (error.name === "AbortError" || error.name === "CanceledError")) {
    return "context canceled";
  }
  return error instanceof Error ? error.message : String(error);
}
