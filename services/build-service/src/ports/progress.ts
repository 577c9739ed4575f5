/**
 * Progress of a build, in BuildKit's terms: vertices with status lines, logs and warnings. What a front
 * end shows of it (BuildKit's Status stream, the classic stream) is its own matter.
 */
import type { LineRange } from "../domain/dockerfile/syntax-error.ts";

/** A vertex as it is known now; told again, whole, at each change. */
export interface VertexState {
  /** `sha256:<hex>`: one per step, equal for equal steps. */
  readonly digest: string;
  /** As shown, for example `[build 2/7] RUN make`. */
  readonly name: string;
  /** Digests of the vertices it builds on. */
  readonly inputs: readonly string[];
  /** Nanoseconds since the epoch; undefined: only announced. */
  readonly startedNano: bigint | undefined;
  /** Nanoseconds since the epoch; undefined: not ended. */
  readonly completedNano: bigint | undefined;
  /** Its result was there already. */
  readonly cached: boolean;
  /** Text of its failure; empty: none. Ends in `context canceled` when it was cancelled. */
  readonly error: string;
}

/** A status line of a vertex, told again at each change. */
export interface VertexStatus {
  /** Text shown, unique in the vertex, for example `transferring context:`. */
  readonly id: string;
  /** Word for the action, for example `transferring`. */
  readonly name: string;
  readonly current: number;
  /** 0: unknown. */
  readonly total: number;
  readonly startedNano: bigint;
  readonly completedNano: bigint | undefined;
}

/** A warning about a Dockerfile. */
export interface BuildWarning {
  /** One line: `Rule: message (line N)`. */
  readonly short: string;
  readonly detail: readonly string[];
  readonly url: string;
  readonly lines: LineRange | undefined;
}

/** 1: standard output, 2: standard error. */
export type LogStream = 1 | 2;

/** Receives progress. Calls are synchronous and must not throw; a slow reader is the receiver's matter. */
export interface ProgressSink {
  vertex(state: VertexState): void;
  status(vertex: string, status: VertexStatus): void;
  /** Raw bytes, lines may be cut anywhere. The bytes are the receiver's. */
  log(vertex: string, stream: LogStream, bytes: Uint8Array): void;
  warning(vertex: string, warning: BuildWarning): void;
}

/** One running vertex, for code that works on it without knowing of the others. */
export interface RunningVertex {
  readonly digest: string;
  status(status: VertexStatus): void;
  log(stream: LogStream, bytes: Uint8Array): void;
}
