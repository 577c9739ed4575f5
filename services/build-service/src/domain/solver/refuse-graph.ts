/** What a graph must not hold: found when all of it is there, so that no instruction is blamed. */
import { BuildFailure } from "../build-failure.ts";
import type { Vertex } from "./vertex.ts";

/** Throws BuildFailure, without a place. */
export function refuseGraph(vertices: readonly Vertex[], entitlements: readonly string[]): void {
  const runs = vertices.flatMap(({ op }) => (op.kind === "run" ? [op] : []));
  if (runs.some(({ args }) => args.length === 0))
    throw new BuildFailure("failed to marshal LLB definition: arguments are required");
  for (const { insecure, network } of runs) {
    if (network === "host") demand(entitlements, "network.host");
    if (insecure) demand(entitlements, "security.insecure");
  }
}

function demand(entitlements: readonly string[], name: string): void {
  if (!entitlements.includes(name))
    throw new BuildFailure(`failed to load LLB: ${name} is not allowed`);
}
