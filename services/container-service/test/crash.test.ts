import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { connectData } from "@gantry/rpc";
import { eventually, hasEnded } from "@gantry/testkit";
import { readAll, startEngine, type TestEngine, unframe } from "./engine.ts";

describe("kill -9 of container-service", () => {
  let engine: TestEngine;
  before(async () => {
    engine = await startEngine();
  });
  after(async () => {
    await engine[Symbol.asyncDispose]();
  });

  const restartsOf = async (id: string) =>
    (await engine.containers.inspectContainer({ container: id })).container?.restartCount ?? 0;
  const start = (id: string) => engine.containers.startContainer({ container: id });
  const remove = (id: string) => engine.containers.removeContainer({ container: id, force: true });
  /** The end is in the exit record, which is on disk before anybody is told. */
  const ended = async (id: string) => {
    const record = `${engine.roots.path}/data/container-service/containers/${id}/exit.json`;
    await eventually(() => readFileSync(record, "utf8").includes('"exitCode":'));
  };
  const dies = async (id: string) =>
    (await engine.actions(id)).filter((action) => action === "die").length;

  it("leaves containers running, and takes them over", async () => {
    const id = await engine.create("trap 'exit 21' TERM; echo ready; while :; do sleep 0.05; done");
    await start(id);
    await engine.said(id, "ready");
    const { pid } = await engine.stateOf(id);
    await engine.crash();
    const state = await engine.stateOf(id);
    assert.deepEqual([state.status, state.pid], ["running", pid]);
    await engine.containers.stopContainer({ container: id });
    assert.equal((await engine.stateOf(id)).exitCode, 21);
    assert.equal(await dies(id), 1);
    await remove(id);
  });

  it("tells the true code of what ended while it was down, once", async () => {
    const id = await engine.create("sleep 0.3; exit 33");
    await start(id);
    await engine.service().end("SIGKILL");
    await ended(id);
    await engine.crash();
    const state = await engine.stateOf(id);
    assert.deepEqual([state.status, state.exitCode], ["exited", 33]);
    await engine.crash();
    assert.equal(await dies(id), 1);
    await remove(id);
  });

  it("removes what was to be removed at its end", async () => {
    const id = await engine.create("sleep 1000", { hostConfig: { autoRemove: true } });
    await start(id);
    const { pid } = await engine.stateOf(id);
    await engine.service().end("SIGKILL");
    process.kill(pid, "SIGKILL");
    await ended(id);
    await engine.crash();
    await eventually(async () => {
      await assert.rejects(engine.stateOf(id), { kind: "not_found" });
      return true;
    });
    assert.equal((await engine.actions(id)).at(-1), "destroy");
  });

  it("starts again what its policy asks for, and not what a user stopped", async () => {
    const policy = { name: "unless-stopped", maximumRetryCount: 0 };
    const loop = "while :; do sleep 0.05; done";
    const kept = await engine.create("sleep 0.2; exit 1", {
      hostConfig: { restartPolicy: policy },
    });
    const stopped = await engine.create(loop, { hostConfig: { restartPolicy: policy } });
    await start(kept);
    await start(stopped);
    await engine.containers.stopContainer({ container: stopped, timeoutSeconds: 0 });
    await engine.service().end("SIGKILL");
    await engine.crash();
    await eventually(async () => (await engine.stateOf(kept)).status === "running");
    assert.equal((await engine.stateOf(stopped)).status, "exited");
    await remove(kept);
    await remove(stopped);
  });

  it("keeps attached streams, execs and pauses", async () => {
    const id = await engine.create("cat", {
      config: { image: "busybox", openStdin: true, stdinOnce: true },
    });
    const { stream } = await engine.containers.attachContainer({
      container: id,
      stdin: true,
      stdout: true,
      stream: true,
    });
    assert.ok(stream);
    const socket = await connectData(stream);
    await start(id);
    const { execId } = await engine.execs.createExec({
      container: id,
      cmd: ["sh", "-c", "sleep 1; exit 5"],
    });
    await engine.execs.startExec({ execId, detach: true });
    await engine.crash();
    assert.equal((await engine.execs.waitExec({ execId })).exitCode, 5);
    socket.end("through a crash\n");
    const chunks: Buffer[] = [];
    for await (const chunk of socket) chunks.push(chunk as Buffer);
    assert.equal(unframe(Buffer.concat(chunks)).stdout, "through a crash\n");
    await eventually(async () => (await engine.stateOf(id)).status === "exited");
    const paused = await engine.create("while :; do sleep 0.05; done");
    await start(paused);
    await engine.containers.pauseContainer({ container: paused });
    await engine.crash();
    assert.equal((await engine.stateOf(paused)).status, "paused");
    await remove(id);
    await remove(paused);
  });

  it("reports a killed shim process within a second, with its container gone", async () => {
    const id = await engine.create("while :; do sleep 0.05; done");
    await start(id);
    const { pid } = await engine.stateOf(id);
    const shimPid = Number(
      /^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${String(pid)}/status`, "utf8"))?.[1],
    );
    process.kill(shimPid, "SIGKILL");
    await eventually(async () => (await engine.stateOf(id)).status === "exited", {
      timeoutMs: 1500,
    });
    assert.equal((await engine.stateOf(id)).exitCode, 137);
    await eventually(() => hasEnded(pid));
    await remove(id);
  });

  it("ends at once when told to, with restarts and probes pending, and takes them up again", async () => {
    const restarting = await engine.create("exit 1", {
      hostConfig: { restartPolicy: { name: "always", maximumRetryCount: 0 } },
    });
    const checked = await engine.create("while :; do sleep 0.05; done", {
      config: {
        image: "busybox",
        healthcheck: { test: { values: ["CMD", "true"] }, intervalNs: 60_000_000_000n },
      },
    });
    await start(restarting);
    await start(checked);
    await eventually(async () => (await restartsOf(restarting)) >= 2);
    const begun = performance.now();
    await engine.service().end("SIGTERM");
    assert.ok(performance.now() - begun < 5000);
    const before = await engine.crash().then(() => restartsOf(restarting));
    await eventually(async () => (await restartsOf(restarting)) > before);
    assert.equal((await engine.stateOf(checked)).status, "running");
    await remove(restarting);
    await remove(checked);
  });

  it("loses no line of the log", async () => {
    const id = await engine.create("i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo line $i; done");
    await start(id);
    await engine.crash();
    await eventually(async () => (await engine.stateOf(id)).status === "exited");
    const { data } = await engine.containers.openLogs({
      container: id,
      stdout: true,
      stderr: true,
    });
    assert.ok(data);
    const lines = unframe(await readAll(data))
      .stdout.trimEnd()
      .split("\n");
    assert.equal(lines.length, 2000);
    assert.equal(lines.at(-1), "line 2000");
    await remove(id);
  });
});
