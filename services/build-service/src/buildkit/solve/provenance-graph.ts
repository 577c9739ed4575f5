/** What provenance with `mode=max` tells of a build's graph: steps, their lines, their layers. */
import { formatPlatform } from "@gantry/oci";
import { llbGraph, llbOfDockerfile } from "../../domain/solver/llb-definition.ts";
import type { LlbOptions } from "../../domain/solver/llb-ops.ts";
import { type RunMount, reachable } from "../../domain/solver/vertex.ts";
import type { BuildResult, ExportedManifest } from "../../ports/build.ts";
import type { FrontendOptions } from "./frontend-options.ts";

/** A build whose graph is told of. */
export interface ProvenanceGraph {
  readonly result: Pick<BuildResult, "platforms" | "contexts">;
  readonly options: FrontendOptions;
  readonly dockerfile: Uint8Array;
}

/** The graph of one platform's manifest; undefined: it is not known. */
export function shownGraph(
  { result, options, dockerfile }: ProvenanceGraph,
  { platform, layers }: Pick<ExportedManifest, "platform" | "layers">,
): { readonly config: object; readonly metadata: object } | undefined {
  const name = formatPlatform(platform);
  const tree = result.platforms.find((each) => formatPlatform(each.platform) === name)?.tree;
  if (tree === undefined) return undefined;
  const graph = llbGraph(tree, llbOptions(result, options));
  const { llbDefinition, digestMapping, locations, chain } = graph;
  const info = {
    filename: options.filename,
    language: "Dockerfile",
    data: Buffer.from(dockerfile).toString("base64"),
    ...llbOfDockerfile(options.filename, options.dockerfileKey),
  };
  return {
    config: { llbDefinition, digestMapping },
    metadata: { source: { locations, infos: [info] }, ...layersOf(chain, layers) },
  };
}

/** Secrets and agents that the steps ask for. */
export function borrowedBy({ result }: ProvenanceGraph): object {
  const trees = result.platforms.flatMap(({ tree }) => tree ?? []);
  const mounts = reachable(trees).flatMap(({ op }) => (op.kind === "run" ? op.mounts : []));
  const secrets = borrowed(mounts, "secret");
  const ssh = borrowed(mounts, "ssh");
  return { ...(secrets.length > 0 && { secrets }), ...(ssh.length > 0 && { ssh }) };
}

/** Each once; one that somebody requires is required. */
function borrowed(mounts: readonly RunMount[], type: "secret" | "ssh"): object[] {
  const required = new Map<string, boolean>();
  for (const mount of mounts) {
    if ((mount.type !== "secret" && mount.type !== "ssh") || mount.type !== type) continue;
    required.set(mount.id, mount.required || (required.get(mount.id) ?? false));
  }
  return [...required]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([id, isRequired]) => ({ id, ...(!isRequired && { optional: true }) }));
}

function llbOptions(
  { contexts }: ProvenanceGraph["result"],
  { request, contextKey }: FrontendOptions,
): LlbOptions {
  const { pull, extraHosts, limits } = request;
  const followPaths = [...(contexts ?? [])].map(([name, { include }]) => [name, include] as const);
  return {
    resolveMode: pull ? "pull" : "local",
    extraHosts,
    ulimits: limits.ulimits,
    cgroupParent: limits.cgroupParent,
    contextName: contextKey,
    followPaths: new Map(followPaths),
    exclude: (contexts?.get("")?.exclude ?? []).filter((line) => line !== ""),
  };
}

/** By step, the layers of its tree: those above come one by one. */
function layersOf(
  chain: readonly string[],
  layers: ExportedManifest["layers"],
): { readonly layers?: object } {
  const told = layers.map(({ mediaType, digest, sizeBytes }) => ({
    ...{ mediaType, digest, size: sizeBytes },
  }));
  const count = (index: number): number => told.length - (chain.length - 1 - index);
  const below = (index: number): object[] => told.slice(0, Math.max(0, count(index)));
  const ofSteps = chain.map((step, index) => [`${step}:0`, [below(index)]] as const);
  const filled = ofSteps.filter(([, [tree]]) => tree !== undefined && tree.length > 0);
  return filled.length === 0 ? {} : { layers: Object.fromEntries(filled) };
}
