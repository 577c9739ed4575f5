/** What a build has made for a platform: its tree, and a config whose times are those of its layers. */
import type { HistoryItem } from "@gantry/oci";
import { wantsSourcesSum, withSourcesSum } from "../domain/frontend/history-texts.ts";
import type { StageState } from "../domain/frontend/stage-state.ts";
import type { Vertex } from "../domain/solver/vertex.ts";
import type { BuildRequest, PlatformResult } from "../ports/build.ts";
import type { SolveSession } from "./solver.ts";

/** Solves what a state is made of. */
export async function platformResult(
  request: BuildRequest,
  state: StageState,
  session: SolveSession,
): Promise<PlatformResult> {
  const { snapshot } = await session.result(state.tree);
  const config = await finishedConfig(request, state, session);
  const keys = await Promise.all(ownVertices(state.tree).map((vertex) => session.cacheKey(vertex)));
  const cacheKeys = keys.filter((key) => key !== undefined);
  return { platform: state.platform, snapshot, config, cacheKeys, tree: state.tree };
}

/** A state's config. Labels of the request come last. Times are those of the layers, so that equal builds give equal images. */
export async function finishedConfig(
  { labels, sourceDateEpoch }: BuildRequest,
  state: StageState,
  session: SolveSession,
): Promise<PlatformResult["config"]> {
  const { document } = state;
  const history = await datedHistory(sourceDateEpoch, state, session);
  if (labels.size === 0) return { ...document, history };
  const Labels = { ...document.config.Labels, ...Object.fromEntries(labels) };
  return { ...document, history, config: { ...document.config, Labels } };
}

/** A step without files has the time of the one before it. */
async function datedHistory(
  sourceDateEpoch: BuildRequest["sourceDateEpoch"],
  state: StageState,
  session: SolveSession,
): Promise<readonly HistoryItem[]> {
  const vertices = ownVertices(state.tree);
  const times = await Promise.all(vertices.map((vertex) => session.createdNano(vertex)));
  const history = await withSums(state.document.history, vertices, session);
  const first = times.find((time) => time !== undefined);
  const ofBase = history.findLast(({ created }) => created !== undefined)?.created;
  let last = first === undefined ? (ofBase ?? isoTime(0n)) : isoTime(first);
  return history.map((item) => {
    if (item.created !== undefined) return item;
    const time = item.empty_layer === true ? undefined : times.shift();
    if (time !== undefined) last = isoTime(time);
    const created =
      sourceDateEpoch === undefined ? last : isoTime(BigInt(sourceDateEpoch) * nanoPerSecond);
    return { created, ...item };
  });
}

/** The classic builder's history has sums of what was copied. */
async function withSums(
  history: readonly HistoryItem[],
  vertices: readonly Vertex[],
  session: SolveSession,
): Promise<readonly HistoryItem[]> {
  const waiting = [...vertices];
  return await Promise.all(
    history.map(async (item) => {
      const { created, empty_layer, created_by = "" } = item;
      if (created !== undefined || empty_layer === true) return item;
      const vertex = waiting.shift();
      if (vertex === undefined || !wantsSourcesSum(created_by)) return item;
      return { ...item, created_by: withSourcesSum(created_by, await session.sourcesSum(vertex)) };
    }),
  );
}

/** Vertices that a tree was made by, over its base, the first first. */
function ownVertices(tree: Vertex): Vertex[] {
  const [below] = tree.inputs;
  return below === undefined ? [] : [...ownVertices(below), tree];
}

const nanoPerSecond = 1_000_000_000n;

function isoTime(nano: bigint): string {
  return new Date(Number(nano / 1_000_000n)).toISOString();
}
