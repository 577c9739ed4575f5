/**
 * `npm run bench [rounds [pattern]]`: Gantry and the newest real dockerd side by side, interleaved.
 * Prints the table, writes bench/results/<time>.{json,md} and the README's copy. With a pattern: only
 * the times of rows whose titles match it, printed and not kept.
 */
import { mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { makeBusyboxArchive } from "@gantry/testkit/busybox";
import { putImage } from "@gantry/testkit/image-maker";
import { startRegistry } from "@gantry/testkit/registry";
import { cleanEnvironment, mustRun } from "@gantry/testkit/run";
import { makeBigImage } from "./big-image.ts";
import { buildRows, measureBuilderMemory } from "./build-rows.ts";
import { crowdRows } from "./crowd-rows.ts";
import type { Engine } from "./engine.ts";
import { flowRows } from "./flow-rows.ts";
import { makeImageRows } from "./image-rows.ts";
import { listRows } from "./list-rows.ts";
import type { Timed, TimedResult } from "./measure.ts";
import { docker, measure, measureCliStart } from "./measure.ts";
import { measureMemory } from "./memory-rows.ts";
import { networkRows } from "./network-rows.ts";
import { startOurs } from "./ours.ts";
import { startPeer } from "./peer.ts";
import { measurePullMemory } from "./pull-memory.ts";
import { type BenchReport, describeMachine, toMarkdown, updateTable } from "./report.ts";
import { commandRows, idleContainer, pullRows } from "./scenarios.ts";
import { plotStarts, startPlotTitle } from "./start-plot.ts";
import { storageRows } from "./storage-rows.ts";

const repository = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))));
const scratch = "/tmp/gantry-bench";

interface TimedRows {
  readonly times: TimedResult[];
  /** Rows that could not be measured, and why. They cost only themselves. */
  readonly failed: string[];
  readonly cliStartMs: number;
  readonly oursVersion: string;
  readonly peerVersion: string;
}

async function timeRows(rounds: number, wanted: RegExp): Promise<TimedRows> {
  await using ours = await startOurs();
  await using peer = await startPeer(path.join(scratch, "peer"));
  await prepare(ours);
  await prepare(peer);
  const cliStartMs = await measureCliStart(Math.max(rounds, 10));
  const times: TimedResult[] = [];
  const failed: string[] = [];
  const take = async (row: Timed): Promise<void> => {
    if (!wanted.test(row.title)) return;
    try {
      const result = await measure(row, ours, peer, cliStartMs);
      times.push(result);
      process.stderr.write(`${row.title}: ratio ${result.ratio.toFixed(2)}\n`);
    } catch (error) {
      failed.push(`${row.title}: ${String(error)}`);
      process.stderr.write(`${row.title}: failed: ${String(error)}\n`);
    }
  };
  const few = Math.max(3, Math.ceil(rounds / 5));
  for (const row of [
    ...commandRows(rounds),
    ...networkRows(rounds),
    ...listRows(rounds),
    ...crowdRows(),
  ])
    await take(row);
  for (const row of flowRows(few)) await take(row);
  for (const row of await storageRows(scratch, few)) await take(row);
  for (const row of await buildRows(scratch, few)) await take(row);
  const served = await serveImages(peer, few);
  try {
    for (const row of served.rows) await take(row);
  } finally {
    await served.stop();
  }
  return { times, failed, cliStartMs, oursVersion: ours.version, peerVersion: peer.version };
}

/** The rows of images, with a registry at the same loopback address in both network namespaces. */
async function serveImages(
  peer: Engine,
  rounds: number,
): Promise<{ rows: readonly Timed[]; stop: () => Promise<void> }> {
  const dir = path.join(scratch, "registry");
  const registry = await startRegistry({ dir });
  const big = await makeBigImage();
  await putImage(registry.host, "bench/five", "1", big);
  const port = Number(registry.host.split(":")[1]);
  const mirror =
    peer.netns === undefined ? undefined : await startRegistry({ dir, port, netns: peer.netns });
  const parts = { host: registry.host, registryDir: dir, scratch, big, rounds };
  return {
    rows: [
      ...pullRows(`${registry.host}/bench/five:1`, rounds),
      // The push empties the registry, so these come last.
      ...(await makeImageRows(parts)),
    ],
    stop: async () => {
      await registry[Symbol.asyncDispose]();
      await mirror?.[Symbol.asyncDispose]();
    },
  };
}

async function loadBusybox(engine: Engine): Promise<void> {
  await mustRun(["docker", "load"], {
    env: cleanEnvironment({ DOCKER_HOST: engine.dockerHost }),
    input: await makeBusyboxArchive(),
  });
}

async function prepare(engine: Engine): Promise<void> {
  await loadBusybox(engine);
  await docker(engine, ["run", "-d", "--name", idleContainer, "busybox", "sleep", "1000000"]);
}

async function main(): Promise<void> {
  const rounds = Number(process.argv[2] ?? 15);
  const pattern = process.argv[3];
  const wanted = new RegExp(pattern ?? "");
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new Error("usage: npm run bench [rounds [pattern]]");
  await rm(scratch, { recursive: true, force: true });
  await mkdir(scratch, { recursive: true });
  const takenAt = new Date().toISOString();
  if (wanted.test(startPlotTitle)) {
    process.stdout.write(await plotStarts(path.join(repository, "docs/starts.svg"), loadBusybox));
  }
  const timed = await timeRows(rounds, wanted);
  const memory =
    pattern === undefined
      ? [
          ...(await measureMemory(scratch)),
          ...(await measurePullMemory(scratch)),
          await measureBuilderMemory(scratch),
        ]
      : [];
  const report = { takenAt, machine: describeMachine(), ...timed, memory };
  const markdown = toMarkdown(report);
  process.stdout.write(markdown);
  if (pattern === undefined) await keep(report, markdown);
  await rm(scratch, { recursive: true, force: true });
  if (timed.failed.length > 0) throw new Error(`not measured:\n${timed.failed.join("\n")}`);
}

async function keep(report: BenchReport, markdown: string): Promise<void> {
  const results = path.join(repository, "bench/results");
  await mkdir(results, { recursive: true });
  const stem = path.join(results, report.takenAt.replaceAll(/[:.]/g, "-"));
  await writeFile(`${stem}.json`, `${JSON.stringify(report, undefined, 2)}\n`);
  await writeFile(`${stem}.md`, markdown);
  await updateTable(path.join(repository, "README.md"), markdown);
}

await main();
