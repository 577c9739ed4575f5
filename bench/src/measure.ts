/** Times whole commands, alternating between two engines so that both see the same machine. */
import { cleanEnvironment, mustRun } from "@gantry/testkit/run";
import type { Engine } from "./engine.ts";
import { median } from "./statistics.ts";

/** One thing that is timed on both engines. */
export interface Timed {
  /** Row title of the report. */
  readonly title: string;
  /** Counted rounds; each runs both engines once, the order alternating. */
  readonly rounds: number;
  /** Whether the CLI's own start is taken off (single commands) or not (whole loads). */
  readonly net: boolean;
  /** Ratio that issue and design ask for. */
  readonly goal: number;
  /** What is timed. Returns milliseconds when it measures itself, else its duration counts. */
  readonly act: (engine: Engine) => Promise<number | undefined>;
  /** Before each round, untimed. */
  readonly before?: (engine: Engine) => Promise<void>;
  /** After the last round: takes away what the row has made. */
  readonly after?: (engine: Engine) => Promise<void>;
}

/** Samples of one row in milliseconds. */
export interface TimedResult {
  readonly title: string;
  readonly goal: number;
  readonly net: boolean;
  readonly oursMs: readonly number[];
  readonly peerMs: readonly number[];
  /** Ours over the peer's, medians, net of the CLI's start when `net`. */
  readonly ratio: number;
}

/** Runs the stock CLI against an engine. */
export async function docker(
  engine: Engine,
  args: readonly string[],
  timeoutMs = 300_000,
): Promise<string> {
  const ran = await mustRun(["docker", ...args], {
    env: cleanEnvironment({ DOCKER_HOST: engine.dockerHost }),
    timeoutMs,
  });
  return ran.stdout;
}

/** The CLI's own start: median of `docker --version` in milliseconds. */
export async function measureCliStart(rounds: number): Promise<number> {
  const samples: number[] = [];
  for (let round = 0; round < rounds; round += 1)
    samples.push((await mustRun(["docker", "--version"])).elapsedMs);
  return median(samples);
}

/** Measures one row: one uncounted round, then the counted ones. */
export async function measure(
  row: Timed,
  ours: Engine,
  peer: Engine,
  cliStartMs: number,
): Promise<TimedResult> {
  const oursMs: number[] = [];
  const peerMs: number[] = [];
  for (let round = -1; round < row.rounds; round += 1) {
    const order = round % 2 === 0 ? [ours, peer] : [peer, ours];
    for (const engine of order) {
      await row.before?.(engine);
      const elapsed = await timed(row, engine);
      if (round >= 0) (engine === ours ? oursMs : peerMs).push(elapsed);
    }
  }
  for (const engine of [ours, peer]) await row.after?.(engine);
  const base = row.net ? cliStartMs : 0;
  return {
    title: row.title,
    goal: row.goal,
    net: row.net,
    oursMs,
    peerMs,
    ratio: (median(oursMs) - base) / (median(peerMs) - base),
  };
}

async function timed(row: Timed, engine: Engine): Promise<number> {
  const started = process.hrtime.bigint();
  const own = await row.act(engine);
  return own ?? Number(process.hrtime.bigint() - started) / 1e6;
}
