/**
 * Containers write, exit, crash, restart, are stopped and killed while kill -9 hits every program of the
 * engine at random. Afterwards processes, states, cgroups, mounts, links, logs and event log agree.
 *
 * At least 60 kills over at least five minutes with 50 containers in `npm run test:deep`; `npm test` has a
 * short sample of it. GANTRY_TEST_SEED repeats the choices of a run (not their timing).
 */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { chooseSeed, type Random, randomFrom } from "@gantry/testkit/random";
import { type ServiceName, TestEngine } from "@gantry/testkit/test-engine";
import { untilPasses } from "@gantry/testkit/until-passes";
import { ask } from "../src/http.ts";
import {
  createSurely,
  type Inspected,
  insist,
  inspect,
  startSurely,
  untilEnded,
} from "../src/insist.ts";

const deep = process.env["GANTRY_TEST_DEEP"] === "1";
const size = deep
  ? { drivers: 44, idle: 6, kills: 60, lastsMs: 5 * 60_000, pauseMs: [1500, 5000] as const }
  : { drivers: 14, idle: 3, kills: 6, lastsMs: 20_000, pauseMs: [300, 2500] as const };

const seed = chooseSeed();
const programs: readonly ServiceName[] = [
  "api-gateway",
  "container-service",
  "image-service",
  "nats-server",
  "supervisor",
];

/** One container of the test, and what has to come of it. */
interface Told {
  readonly id: string;
  readonly kind: string;
  readonly exitCode: number;
  /** What one run writes. */
  readonly run: string;
  /** Most runs that there can be: one for each start asked for, or as many as the policy makes. */
  readonly mostRuns: number;
}

/** A way for a container to live. */
interface Kind {
  readonly name: string;
  /** Shell script; `begin` is the first line of every run. */
  script(random: Random): {
    readonly text: string;
    readonly run: string;
    readonly exitCode: number;
  };
  readonly host?: object;
  /** Runs that one start may lead to. */
  readonly runs: number;
  /** What the user does to it. */
  act?(id: string): Promise<void>;
}

const lines = (count: number): string =>
  Array.from({ length: count }, (_, index) => `line ${String(index)}\n`).join("");
/** With pauses, but few: each is a process, which a loaded machine is slow to make. */
const writing = (count: number): string =>
  `i=0; while [ $i -lt ${String(count)} ]; do echo line $i; i=$((i+1)); [ $((i%25)) != 0 ] || sleep 0.2; done`;

function writer(random: Random): ReturnType<Kind["script"]> {
  const count = random.integer(1, 400);
  const exitCode = random.integer(0, 120);
  return {
    text: `echo begin; ${writing(count)}; exit ${String(exitCode)}`,
    run: `begin\n${lines(count)}`,
    exitCode,
  };
}

function burst(random: Random): ReturnType<Kind["script"]> {
  const count = random.integer(500, 4000);
  return {
    text: `echo begin; seq 0 ${String(count - 1)} | sed 's/^/line /'; exit 0`,
    run: `begin\n${lines(count)}`,
    exitCode: 0,
  };
}

const waiting = "while :; do sleep 0.1; done";

const kinds: readonly Kind[] = [
  { name: "writes and exits", runs: 1, script: writer },
  { name: "writes on a bridge", runs: 1, script: writer, host: { NetworkMode: "bridge" } },
  { name: "bursts", runs: 1, script: burst },
  {
    // The first process of a namespace ignores what it sends itself: under an init it is not the first.
    name: "crashes",
    runs: 1,
    host: { Init: true },
    script: () => ({ text: "echo begin; kill -SEGV $$", run: "begin\n", exitCode: 139 }),
  },
  {
    name: "fails and is restarted",
    runs: 4,
    host: { RestartPolicy: { Name: "on-failure", MaximumRetryCount: 3 } },
    script: (random) => {
      const exitCode = random.integer(1, 120);
      const text = `echo begin; sleep 0.${String(random.integer(1, 9))}; exit ${String(exitCode)}`;
      return { text, run: "begin\n", exitCode };
    },
  },
  {
    name: "is stopped",
    runs: 1,
    script: () => ({
      text: `trap 'exit 21' TERM; echo begin; ${waiting}`,
      run: "begin\n",
      exitCode: 21,
    }),
    act: (id) => endBy(id, "stop?t=30"),
  },
  {
    name: "is killed",
    runs: 1,
    script: () => ({ text: `echo begin; ${waiting}`, run: "begin\n", exitCode: 137 }),
    act: (id) => endBy(id, "kill"),
  },
];

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

/** Asks until the container has ended; not before it has told that it is there. */
async function endBy(id: string, how: string): Promise<void> {
  await untilPasses(
    async () => {
      assert.equal(await logOf(id), "begin\n");
    },
    { timeoutMs: 120_000 },
  );
  await insist(engine, { method: "POST", path: `/containers/${id}/${how}` });
}

async function logOf(id: string): Promise<string> {
  const answer = await insist(engine, {
    path: `/containers/${id}/logs?stdout=1&stderr=1`,
  });
  assert.equal(answer.status, 200, answer.body);
  return unframed(answer.bytes);
}

const bodyOf = (text: string, host: object = {}): object => ({
  Image: "busybox",
  Cmd: ["sh", "-c", text],
  Labels: { chaos: "1" },
  HostConfig: { NetworkMode: "none", ...host },
});

/** Makes containers one after the other until time is up. */
async function drive(name: string, random: Random, ended: () => boolean): Promise<Told[]> {
  const told: Told[] = [];
  for (let round = 0; round === 0 || !ended(); round++) {
    const kind = random.pick(kinds);
    const { text, run, exitCode } = kind.script(random);
    const id = await createSurely(engine, `${name}-${String(round)}`, bodyOf(text, kind.host));
    const starts = await startSurely(engine, id);
    await kind.act?.(id);
    await untilEnded(engine, id);
    told.push({ id, kind: kind.name, exitCode, run, mostRuns: starts * kind.runs });
  }
  return told;
}

/** kill -9 of a program at random, again and again. Returns how often each was hit. */
async function killAtRandom(random: Random, ended: () => boolean): Promise<Map<string, number>> {
  const until = performance.now() + size.lastsMs;
  const hits = new Map<string, number>();
  let count = 0;
  while (!ended() && (count < size.kills || performance.now() < until)) {
    await pause(random.integer(size.pauseMs[0], size.pauseMs[1]));
    const program = random.pick(programs);
    const pids = await engine.pidsOf(program);
    // It is being started again after the last hit.
    if (pids.length === 0) continue;
    for (const pid of pids) process.kill(pid, "SIGKILL");
    hits.set(program, (hits.get(program) ?? 0) + 1);
    count++;
    if (program === "supervisor") await engine.startSupervisor();
  }
  return hits;
}

/** Exit codes of the `die` events of every container, in order. */
async function diesByContainer(): Promise<Map<string, number[]>> {
  const filters = encodeURIComponent(JSON.stringify({ event: ["die"], type: ["container"] }));
  const until = String(Math.ceil(Date.now() / 1000) + 1);
  const answer = await ask(engine, { path: `/events?since=0&until=${until}&filters=${filters}` });
  assert.equal(answer.status, 200, answer.body);
  const dies = new Map<string, number[]>();
  for (const line of answer.body.split("\n").filter((each) => each !== "")) {
    const { Actor } = JSON.parse(line) as {
      Actor: { ID: string; Attributes: Record<string, string> };
    };
    dies.set(Actor.ID, [...(dies.get(Actor.ID) ?? []), Number(Actor.Attributes["exitCode"])]);
  }
  return dies;
}

/** Payloads of Docker's frames. */
function unframed(bytes: Buffer): string {
  let text = "";
  for (let at = 0; at + 8 <= bytes.length; ) {
    const length = bytes.readUInt32BE(at + 4);
    text += bytes.toString("latin1", at + 8, at + 8 + length);
    at += 8 + length;
  }
  return text;
}

describe(`50 containers under kill -9 of everything, seed ${String(seed)}`, () => {
  it("are neither lost nor told of wrongly", { timeout: 30 * 60_000 }, async (context) => {
    context.diagnostic(`GANTRY_TEST_SEED=${String(seed)}`);
    const random = randomFrom(seed);
    const idle: Inspected[] = [];
    for (let index = 0; index < size.idle; index++) {
      const body = bodyOf(waiting, { NetworkMode: "bridge" });
      const id = await createSurely(engine, `idle-${String(index)}`, body);
      await startSurely(engine, id);
      const found = await inspect(engine, id);
      assert.ok(found !== undefined);
      idle.push(found);
    }
    let over = false;
    const end = (): void => {
      over = true;
    };
    const drivers = Array.from({ length: size.drivers }, (_, index) =>
      drive(`c${String(index)}`, randomFrom(random.integer(0, 2 ** 30)), () => over),
    );
    // The first that fails ends all: nobody waits for the others' time to be up.
    const driven = Promise.all(drivers).finally(end);
    const hits = killAtRandom(random, () => over).finally(end);
    const told = (await Promise.all([driven, hits]))[0].flat();
    await engine.ready();
    const killed = [...(await hits)].map(([name, count]) => `${name} ${String(count)}`).join(", ");
    context.diagnostic(`${String(told.length)} containers; killed: ${killed}`);

    await assertStates(told, idle);
    await assertLogsAndEvents(told);
    await assertMachine(
      idle.map(({ Id }) => Id),
      told.map(({ id }) => id),
    );
    for (const { id } of told) await ask(engine, { method: "DELETE", path: `/containers/${id}` });
    for (const { Id } of idle) {
      await ask(engine, { method: "DELETE", path: `/containers/${Id}?force=1` });
    }
    assert.equal(await engine.docker(["ps", "-aq"]), "");
  });
});

/** Every container is there, no other is, and each has the state that it has to have. */
async function assertStates(told: readonly Told[], idle: readonly Inspected[]): Promise<void> {
  const listed = (await engine.docker(["ps", "-aq", "--no-trunc"])).split("\n").sort();
  assert.deepEqual(listed, [...told.map(({ id }) => id), ...idle.map(({ Id }) => Id)].sort());
  for (const { id, kind, exitCode } of told) {
    const found = await inspect(engine, id);
    assert.deepEqual(
      [found?.State.Status, found?.State.ExitCode],
      ["exited", exitCode],
      `${kind} ${id}: ${JSON.stringify(found?.State)}`,
    );
  }
  for (const { Id, State } of idle) {
    const now = await inspect(engine, Id);
    assert.deepEqual([now?.State.Status, now?.State.Pid], ["running", State.Pid], Id);
  }
}

/** As assert.equal, without printing thousands of lines. */
function assertSameText(actual: string, expected: string, what: string): void {
  if (actual === expected) return;
  let at = 0;
  while (at < actual.length && actual[at] === expected[at]) at++;
  const [shown, wanted] = [actual.slice(at, at + 60), expected.slice(at, at + 60)];
  assert.fail(
    `${what}: ${String(actual.length)} bytes of ${String(expected.length)}; ` +
      `at ${String(at)} ${JSON.stringify(shown)}, not ${JSON.stringify(wanted)}`,
  );
}

/** The log holds what each run wrote, and there is one die with the true code for each run. */
async function assertLogsAndEvents(told: readonly Told[]): Promise<void> {
  const dies = await diesByContainer();
  for (const { id, kind, exitCode, run, mostRuns } of told) {
    const log = await logOf(id);
    const count = log.split("begin\n").length - 1;
    assert.ok(count >= 1, `${kind} ${id} has never run`);
    assert.ok(count <= mostRuns, `${kind} ${id} ran ${String(count)} times`);
    assertSameText(log, run.repeat(count), `the log of ${id}, which ${kind}`);
    const codes = Array.from({ length: count }, () => exitCode);
    assert.deepEqual(dies.get(id), codes, `die events of ${id}, which ${kind}`);
  }
}

/** Of processes, cgroups, links and mounts only those of running containers are there. */
async function assertMachine(idle: readonly string[], ended: readonly string[]): Promise<void> {
  const running = [...idle].sort();
  const known = new Set([...idle, ...ended]);
  await untilPasses(() => {
    assert.deepEqual(shimsOf(known), running);
    for (const names of ourCgroups()) assert.deepEqual(names, running);
  });
  const mounts = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((point) => point.startsWith(`${engine.root}/`));
  for (const point of mounts) {
    assert.ok(
      running.some((id) => point.includes(id)),
      `mount ${point} belongs to nobody`,
    );
  }
}

/** Which of these containers have a shim process, one entry for each. */
function shimsOf(known: ReadonlySet<string>): string[] {
  return globSync("/proc/[0-9]*/cmdline")
    .flatMap((file) => {
      const [program, id = ""] = readOrEmpty(file).split("\0");
      return program === "gantry-shim" && known.has(id) ? [id] : [];
    })
    .sort();
}

/** Names of the containers' cgroups, per hierarchy. */
function ourCgroups(): string[][] {
  const parent = engine.cgroupParent;
  return [`/sys/fs/cgroup/${parent}`, ...globSync(`/sys/fs/cgroup/*/${parent}`)]
    .map((folder) => globSync(`${folder}/*/`).map((each) => path.basename(each)))
    .filter((names) => names.length > 0)
    .map((names) => names.filter((name) => /^[0-9a-f]{64}$/.test(name)).sort());
}

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    // It has ended meanwhile.
    return "";
  }
}
