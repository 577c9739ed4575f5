/** Everything a build has told of its progress, for any number of readers who may come late. */
import { nowNano } from "@gantry/events";
import type {
  BuildWarning,
  LogStream,
  ProgressSink,
  VertexState,
  VertexStatus,
} from "../../ports/progress.ts";
import { PartialLines } from "./partial-lines.ts";

/** Something told. */
export type ProgressEvent =
  | { readonly kind: "vertex"; readonly vertex: VertexState }
  | { readonly kind: "status"; readonly vertex: string; readonly status: VertexStatus }
  | {
      readonly kind: "log";
      readonly vertex: string;
      readonly stream: LogStream;
      readonly bytes: Uint8Array;
      readonly timeNano: bigint;
    }
  | { readonly kind: "warning"; readonly vertex: string; readonly warning: BuildWarning };

/** What one step may log, as in BuildKit. */
const maxLogBytes = 2 * 1024 * 1024;

/** Log lines in one batch: together with the rest it stays below what clients accept. */
const maxBatchLogBytes = 1024 * 1024;

const clipNote = new TextEncoder().encode("\n[output clipped, log limit 2MiB reached]\n");

/** Collects progress and hands it out. */
export class ProgressLog implements ProgressSink {
  readonly #events: ProgressEvent[] = [];
  readonly #vertices = new Map<string, VertexState>();
  /** Status lines that are not complete, by vertex and ID. */
  readonly #open = new Map<string, Map<string, VertexStatus>>();
  readonly #logBytes = new Map<string, number>();
  readonly #lines = new PartialLines((vertex, stream, bytes) => {
    this.#push({ kind: "log", vertex, stream, bytes, timeNano: nowNano() });
  });
  #changed = Promise.withResolvers<undefined>();
  #ended = false;

  vertex(vertex: VertexState): void {
    const { digest, completedNano } = vertex;
    if (completedNano !== undefined) {
      this.#lines.flush(digest);
      this.#complete(digest, completedNano);
    }
    this.#vertices.set(vertex.digest, vertex);
    this.#push({ kind: "vertex", vertex });
  }

  status(vertex: string, status: VertexStatus): void {
    const open = this.#open.get(vertex) ?? new Map<string, VertexStatus>();
    this.#open.set(vertex, open);
    if (status.completedNano === undefined) open.set(status.id, status);
    else open.delete(status.id);
    this.#push({ kind: "status", vertex, status });
  }

  /** Clients do not tell how a vertex ended, or of what, while a line of it is open. */
  #complete(vertex: string, completedNano: bigint): void {
    for (const status of this.#open.get(vertex)?.values() ?? []) {
      this.#push({ kind: "status", vertex, status: { ...status, completedNano } });
    }
    this.#open.delete(vertex);
  }

  log(vertex: string, stream: LogStream, bytes: Uint8Array): void {
    const before = this.#logBytes.get(vertex) ?? 0;
    if (before > maxLogBytes) return;
    this.#logBytes.set(vertex, before + bytes.length);
    const room = maxLogBytes - before;
    const kept = bytes.length > room ? Buffer.concat([bytes.subarray(0, room), clipNote]) : bytes;
    this.#lines.log(vertex, stream, kept);
  }

  warning(vertex: string, warning: BuildWarning): void {
    this.#push({ kind: "warning", vertex, warning });
  }

  /** The build is over: vertices that are still open were cancelled. */
  end(): void {
    for (const vertex of this.#vertices.values()) {
      if (vertex.startedNano === undefined || vertex.completedNano !== undefined) continue;
      this.vertex({ ...vertex, completedNano: nowNano(), error: "context canceled" });
    }
    this.#lines.flushAll();
    this.#ended = true;
    this.#wake();
  }

  /** How many steps there are, were cached, and are done, and of what was warned. */
  counts(): { total: number; cached: number; completed: number; warnings: number } {
    const all = [...this.#vertices.values()];
    return {
      total: all.length,
      cached: all.filter((each) => each.cached).length,
      completed: all.filter((each) => each.completedNano !== undefined).length,
      warnings: this.#events.filter(({ kind }) => kind === "warning").length,
    };
  }

  /** All events from the first on, in batches as they come, until the build is over. */
  async *batches(signal: AbortSignal): AsyncGenerator<readonly ProgressEvent[]> {
    const onAbort = (): void => {
      this.#wake();
    };
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      for (let at = 0; !signal.aborted; ) {
        if (at < this.#events.length) {
          const batch = this.#batch(at);
          at += batch.length;
          yield batch;
        } else if (this.#ended) return;
        else await this.#changed.promise;
      }
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  #batch(from: number): readonly ProgressEvent[] {
    let logBytes = 0;
    let to = from;
    for (; to < this.#events.length; to++) {
      const event = this.#events[to];
      if (event?.kind !== "log") continue;
      if (logBytes > 0 && logBytes + event.bytes.length > maxBatchLogBytes) break;
      logBytes += event.bytes.length;
    }
    return this.#events.slice(from, to);
  }

  #push(event: ProgressEvent): void {
    this.#events.push(event);
    this.#wake();
  }

  #wake(): void {
    const { resolve } = this.#changed;
    this.#changed = Promise.withResolvers();
    resolve(undefined);
  }
}
