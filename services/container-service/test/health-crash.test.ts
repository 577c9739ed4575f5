import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { eventually } from "@gantry/testkit";
import { procFile, startEngine, type TestEngine } from "./engine.ts";

const ms = (value: number) => BigInt(value) * 1_000_000n;
const loop = "while :; do sleep 0.05; done";

describe("health of a container, when container-service is killed", () => {
  let engine: TestEngine;
  before(async () => {
    engine = await startEngine();
  });
  after(async () => {
    await engine[Symbol.asyncDispose]();
  });

  const checked = async (
    test: string,
    rules: { intervalMs: number; startPeriodMs?: number; retries?: number },
    script = loop,
  ) => {
    const id = await engine.create(script, {
      config: {
        image: "busybox",
        healthcheck: {
          test: { values: ["CMD-SHELL", test] },
          intervalNs: ms(rules.intervalMs),
          startPeriodNs: ms(rules.startPeriodMs ?? 0),
          startIntervalNs: ms(50),
          retries: rules.retries ?? 2,
        },
      },
    });
    await engine.containers.startContainer({ container: id });
    return id;
  };
  const healthOf = async (id: string) => {
    const { health } = await engine.stateOf(id);
    assert.ok(health);
    return health;
  };
  const becomes = (id: string, status: string) =>
    eventually(async () => (await healthOf(id)).status === status);
  const saysMoreThan = async (id: string, endNano: bigint) => {
    await eventually(async () => ((await healthOf(id)).log.at(-1)?.endNano ?? 0n) > endNano);
  };
  const changes = async (id: string) =>
    (await engine.actions(id)).filter((action) => action.startsWith("health_status"));
  const remove = (id: string) => engine.containers.removeContainer({ container: id, force: true });

  it("is as it was, and nobody is told of a change", async () => {
    const id = await checked("echo well", { intervalMs: 3_600_000, startPeriodMs: 60_000 });
    await becomes(id, "healthy");
    const known = await healthOf(id);
    await engine.crash();
    assert.deepEqual(await healthOf(id), known);
    await engine.crash();
    assert.deepEqual(await healthOf(id), known);
    assert.deepEqual(await changes(id), ["health_status: healthy"]);
    await remove(id);
  });

  it("goes on with its probes at their interval, and with the count of those that failed", async () => {
    const intervalMs = 5000;
    const id = await checked("echo ill; exit 4", { intervalMs, retries: 1 });
    await becomes(id, "unhealthy");
    const known = await healthOf(id);
    await engine.crash();
    const readyNano = BigInt(Date.now()) * 1_000_000n;
    await saysMoreThan(id, known.log.at(-1)?.endNano ?? 0n);
    const health = await healthOf(id);
    assert.deepEqual(health.log.slice(0, known.log.length), known.log);
    assert.deepEqual([health.status, health.failingStreak], ["unhealthy", known.failingStreak + 1]);
    const dueNano = (health.log.at(-2)?.endNano ?? 0n) + ms(intervalMs);
    const lateNano = (health.log.at(-1)?.startNano ?? 0n) - dueNano;
    // What was due while nobody was there comes at once.
    const mayBeLateNano = ms(intervalMs / 2) + (readyNano > dueNano ? readyNano - dueNano : 0n);
    assert.ok(lateNano > -ms(100) && lateNano < mayBeLateNano, `late by ${String(lateNano)} ns`);
    assert.deepEqual(await changes(id), ["health_status: unhealthy"]);
    await remove(id);
  });

  it("has its start period counted from the container's start", async () => {
    const startPeriodMs = 8000;
    const id = await checked("exit 1", { intervalMs: 50, startPeriodMs });
    await saysMoreThan(id, 0n);
    const { status, failingStreak } = await healthOf(id);
    assert.deepEqual([status, failingStreak], ["starting", 0]);
    await engine.crash();
    const readyNano = BigInt(Date.now()) * 1_000_000n;
    await becomes(id, "unhealthy");
    const { log } = await healthOf(id);
    assert.ok((log[0]?.startNano ?? 0n) < readyNano + ms(startPeriodMs - 500));
    await remove(id);
  });

  it("is kept of a container that is paused, or has ended before or meanwhile", async () => {
    const paused = await checked("echo well", { intervalMs: 50 });
    const ended = await checked("echo well", { intervalMs: 50 });
    const ending = await checked(
      "echo well",
      { intervalMs: 50 },
      "while ! test -e /end; do sleep 0.05; done",
    );
    for (const id of [paused, ended, ending]) await becomes(id, "healthy");
    await engine.containers.pauseContainer({ container: paused });
    await engine.containers.stopContainer({ container: ended, timeoutSeconds: 0 });
    const known = { paused: await healthOf(paused), ended: await healthOf(ended) };
    assert.equal(known.paused.status, "unhealthy");
    const { pid } = await engine.stateOf(ending);
    await engine.service().end("SIGKILL");
    process.kill(pid, "SIGKILL");
    await engine.crash();
    assert.equal((await engine.stateOf(paused)).paused, true);
    assert.deepEqual(await healthOf(paused), known.paused);
    assert.deepEqual(await healthOf(ended), known.ended);
    await eventually(async () => (await engine.stateOf(ending)).status === "exited");
    const last = await healthOf(ending);
    assert.deepEqual([last.status, last.log[0]?.output], ["unhealthy", "well\n"]);
    await engine.containers.unpauseContainer({ container: paused });
    await becomes(paused, "healthy");
    const healthy = "health_status: healthy";
    assert.deepEqual(await changes(paused), [healthy, healthy], "a pause is not told of");
    for (const id of [paused, ended, ending]) await remove(id);
  });

  it("has no probe left behind, whose end is told; nor has a pause", async () => {
    const id = await checked("exec sleep 54321", { intervalMs: 50 });
    const { pid } = await engine.stateOf(id);
    const cgroup = /:pids:(\S+)|^0::(\S+)/m.exec(procFile(pid, "cgroup"));
    const probes = () => {
      const file = `/sys/fs/cgroup${cgroup?.[1] === undefined ? "" : "/pids"}${cgroup?.[1] ?? cgroup?.[2] ?? ""}/cgroup.procs`;
      return readFileSync(file, "utf8")
        .split("\n")
        .filter((line) => line !== "" && commandOf(Number(line)).includes("54321"));
    };
    await eventually(() => probes().length === 1);
    const [first] = probes();
    await engine.crash();
    await eventually(() => probes().length === 1 && probes()[0] !== first);
    const actions = await engine.actions(id);
    assert.deepEqual(
      ["exec_create", "exec_start", "exec_die"].map(
        (name) => actions.filter((action) => action.startsWith(name)).length,
      ),
      [2, 2, 1],
    );
    const [second] = probes();
    await engine.containers.pauseContainer({ container: id });
    await engine.crash();
    assert.deepEqual(probes(), [second]);
    await engine.containers.unpauseContainer({ container: id });
    await eventually(() => probes().length === 1 && probes()[0] !== second);
    const [third] = probes();
    await engine.containers.pauseContainer({ container: id });
    await engine.containers.unpauseContainer({ container: id });
    await eventually(() => probes().length === 1 && probes()[0] !== third);
    await remove(id);
  });
});

/** Empty when the process has ended. */
function commandOf(pid: number): string {
  try {
    return procFile(pid, "cmdline");
  } catch {
    return "";
  }
}
