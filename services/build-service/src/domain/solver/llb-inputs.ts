/** Inputs of a vertex as BuildKit's operations count them. */
import type { Vertex } from "./vertex.ts";

/** Inputs that there are: an empty tree is none. */
export const llbInputs = ({ inputs }: Vertex): Vertex[] => {
  const seen = new Map(inputs.map((input) => [input.digest, input]));
  return [...seen.values()].filter(({ op }) => op.kind !== "scratch");
};

/** Place of one of a vertex's inputs among those that there are; -1: it is an empty tree. */
export function llbIndex(vertex: Vertex, input: number): number {
  const { digest } = vertex.inputs[input] ?? {};
  return llbInputs(vertex).findIndex((each) => each.digest === digest);
}
