/** Stats: one sample a second, or one or two samples. */
import { setTimeout as pause } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { hasKind, resolveKind } from "@gantry/errors";
import { type StatsSample, StatsSampleSchema } from "@gantry/proto/container";
import type { GetStatsResponse } from "@gantry/proto/shim";
import { isLive } from "../domain/container-state.ts";
import type { App } from "./context.ts";
import type { Entry } from "./entry.ts";
import { referencedContainer } from "./namespace-references.ts";

/** How many. */
export interface StatsOptions {
  readonly stream: boolean;
  /** Without stream: one sample at once, without the one before. */
  readonly oneShot: boolean;
  readonly signal: AbortSignal;
}

/** One answer. */
export interface StatsStep {
  readonly id: string;
  readonly name: string;
  /** Absent when the container does not run. */
  readonly current: StatsSample | undefined;
  readonly previous: StatsSample | undefined;
}

const everyMs = 1000;

export async function* containerStats(
  app: App,
  reference: string,
  options: StatsOptions,
): AsyncGenerator<StatsStep> {
  const entry = app.registry.find(reference);
  const { signal } = options;
  let previous: StatsSample | undefined;
  if (!options.stream && !options.oneShot && isLive(entry.record.state)) {
    previous = await sample(app, entry);
    await second(signal);
  }
  while (!signal.aborted && app.registry.byId(entry.id) === entry) {
    const current = await sample(app, entry);
    yield { id: entry.id, name: entry.record.name, current, previous };
    if (!options.stream) return;
    previous = current;
    await second(signal);
  }
}

async function second(signal: AbortSignal): Promise<void> {
  try {
    await pause(everyMs, undefined, { signal });
  } catch (error) {
    if (resolveKind(error) !== "canceled") throw error;
  }
}

async function sample(app: App, entry: Entry): Promise<StatsSample | undefined> {
  if (!isLive(entry.record.state)) return undefined;
  try {
    const { $typeName: _, interfaces, blkio, ...rest } = await app.shim.getStats({ id: entry.id });
    return create(StatsSampleSchema, {
      ...rest,
      blkio: blkio.map(({ $typeName: __, ...each }) => each),
      interfaces: (await interfacesOf(app, entry, interfaces)).map(
        ({ $typeName: __, ...each }) => each,
      ),
    });
  } catch (error) {
    // It has ended between our look at its state and the question.
    if (hasKind(error, "conflict") || hasKind(error, "not_found")) return undefined;
    throw error;
  }
}

/** In another container's network namespace the other's interfaces are meant; on the host's, none. */
async function interfacesOf(
  app: App,
  entry: Entry,
  own: GetStatsResponse["interfaces"],
): Promise<GetStatsResponse["interfaces"]> {
  const { networkMode } = entry.record.hostConfig;
  if (networkMode === "host" || networkMode === "none") return [];
  const donor = referencedContainer(networkMode);
  return donor === undefined ? own : (await app.shim.getStats({ id: donor })).interfaces;
}
