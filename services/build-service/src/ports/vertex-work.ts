/** The work that the solver has done, vertex by vertex. */
import type { Vertex } from "../domain/solver/vertex.ts";
import type { LogStream, VertexStatus } from "./progress.ts";

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
