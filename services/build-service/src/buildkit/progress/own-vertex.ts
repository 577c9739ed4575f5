/** Vertices of the front end's own work: loading files, exporting. */

import { createHash } from "node:crypto";
import { nowNano } from "@gantry/events";
import type { LogStream, ProgressSink, RunningVertex, VertexStatus } from "../../ports/progress.ts";
import { toWireFailure } from "../wire/failure.ts";

/** Runs work as a vertex: started, then completed or failed. */
export async function asVertex<T>(
  sink: ProgressSink,
  options: { readonly key: string; readonly name: string; readonly inputs?: readonly string[] },
  work: (vertex: OwnVertex) => Promise<T>,
): Promise<T> {
  const digest = `sha256:${createHash("sha256").update(options.key).digest("hex")}`;
  const startedNano = nowNano();
  const state = {
    digest,
    name: options.name,
    inputs: options.inputs ?? [],
    startedNano,
    completedNano: undefined,
    cached: false,
    error: "",
  };
  sink.vertex(state);
  try {
    const result = await work(new OwnVertex(sink, digest));
    sink.vertex({ ...state, completedNano: nowNano() });
    return result;
  } catch (error) {
    const text = toWireFailure(error).message;
    sink.vertex({ ...state, completedNano: nowNano(), error: text });
    throw error;
  }
}

/** A vertex at work. */
export class OwnVertex implements RunningVertex {
  readonly digest: string;
  readonly #sink: ProgressSink;

  constructor(sink: ProgressSink, digest: string) {
    this.#sink = sink;
    this.digest = digest;
  }

  status(status: VertexStatus): void {
    this.#sink.status(this.digest, status);
  }

  log(stream: LogStream, bytes: Uint8Array): void {
    this.#sink.log(this.digest, stream, bytes);
  }

  /** Runs a part of the work as a status line. */
  async step<T>(id: string, name: string, work: () => Promise<T>): Promise<T> {
    const done = this.begin(id, name);
    const result = await work();
    done();
    return result;
  }

  /** Begins a status line; the result ends it. */
  begin(id: string, name: string): () => void {
    const startedNano = nowNano();
    const line = { id, name, current: 0, total: 0, startedNano, completedNano: undefined };
    this.status(line);
    return () => {
      this.status({ ...line, completedNano: nowNano() });
    };
  }
}

/** A status line that counts bytes; told at most every 100 ms, and what is done sooner only at its end. */
export class TransferLine {
  readonly #vertex: RunningVertex;
  readonly #id: string;
  readonly #name: string;
  readonly #startedNano = nowNano();
  #current = 0;
  #toldMs = performance.now();

  constructor(vertex: RunningVertex, id: string, name: string) {
    this.#vertex = vertex;
    this.#id = id;
    this.#name = name;
  }

  /** So many bytes by now. */
  readonly at = (bytes: number): void => {
    this.#current = bytes;
    const nowMs = performance.now();
    if (nowMs - this.#toldMs < 100) return;
    this.#toldMs = nowMs;
    this.#tell(undefined);
  };

  /** All is there. */
  end(): void {
    this.#tell(nowNano());
  }

  #tell(completedNano: bigint | undefined): void {
    this.#vertex.status({
      id: this.#id,
      name: this.#name,
      current: this.#current,
      total: 0,
      startedNano: this.#startedNano,
      completedNano,
    });
  }
}
