/** Which paths of contexts a graph takes: nothing else has to be brought here. */
import { reachable, type Vertex } from "../domain/solver/vertex.ts";
import type { ContextRequest } from "../ports/build-inputs.ts";

/** By name; the main context's name is empty. */
export function contextNeeds(
  roots: readonly Vertex[],
  exclude: readonly string[],
): ReadonlyMap<string, ContextRequest> {
  const include = new Map<string, Set<string>>();
  for (const { op, inputs } of reachable(roots)) {
    for (const [index, path] of pathsOf(op)) {
      const source = inputs[index]?.op;
      if (source?.kind !== "files" || !source.source.startsWith("context:")) continue;
      const name = source.source.slice("context:".length);
      const paths = include.get(name) ?? new Set();
      include.set(name, paths.add(path.replace(/^\/+/, "").replace(/\/+$/, "")));
    }
  }
  return new Map(
    [...include].map(([name, paths]) => {
      const whole = [...paths].some((path) => path === "" || path === ".");
      const excluded = name === "" ? exclude : [];
      return [name, { include: whole ? [] : [...paths], exclude: excluded }];
    }),
  );
}

function pathsOf(op: Vertex["op"]): [number, string][] {
  if (op.kind === "copy") return op.sources.map(({ input, path }) => [input, path]);
  if (op.kind !== "run") return [];
  return op.mounts.flatMap((mount): [number, string][] => {
    if (mount.type === "bind") return [[mount.input, mount.source]];
    if (mount.type === "cache" && mount.input !== undefined) return [[mount.input, mount.source]];
    return [];
  });
}
