import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { eventually } from "@gantry/testkit";
import { readAll, startEngine, type TestEngine, unframe } from "./engine.ts";

describe("exec", () => {
  let engine: TestEngine;
  let id: string;
  before(async () => {
    engine = await startEngine();
    id = await engine.create("while :; do sleep 0.05; done", {
      config: { image: "busybox", env: ["FROM=container"] },
    });
    await engine.containers.startContainer({ container: id });
  });
  after(async () => {
    await engine[Symbol.asyncDispose]();
  });

  const exec = async (cmd: string[], more: object = {}, input?: string) => {
    const { execId } = await engine.execs.createExec({
      container: id,
      cmd,
      attachStdout: true,
      attachStderr: true,
      ...more,
    });
    const { stream } = await engine.execs.startExec({ execId });
    assert.ok(stream);
    const output = unframe(await readAll(stream, input));
    const { exitCode } = await engine.execs.waitExec({ execId });
    return { execId, exitCode, ...output };
  };

  it("runs a command and gives output and exit code", async () => {
    const { stdout, stderr, exitCode, execId } = await exec([
      "sh",
      "-c",
      "echo o; echo e >&2; exit 3",
    ]);
    assert.deepEqual([stdout, stderr, exitCode], ["o\n", "e\n", 3]);
    const { exec: found } = await engine.execs.inspectExec({ execId });
    assert.equal(found?.running, false);
    assert.equal(found?.exitCode, 3);
    assert.ok((found?.pid ?? 0) > 0);
    await assert.rejects(engine.execs.startExec({ execId }), {
      kind: "conflict",
      message: `exec command ${execId} has already run`,
    });
  });

  /** It has its PID some moments after it is said to run; kill(2) of 0 would be for this test's whole group. */
  const killRunning = async (execId: string): Promise<void> => {
    const pid = await eventually(async () => {
      const { exec: found } = await engine.execs.inspectExec({ execId });
      return found?.running === true && found.pid > 0 ? found.pid : undefined;
    });
    process.kill(pid, "SIGKILL");
  };

  it("tells of an end, or of a client that has detached by its keys", async () => {
    const { execId } = await engine.execs.createExec({
      ...{ container: id, cmd: ["cat"], tty: true },
      ...{ attachStdin: true, attachStdout: true, attachStderr: true },
    });
    const { stream } = await engine.execs.startExec({ execId, tty: true });
    assert.ok(stream);
    await readAll(stream, "\x10\x11");
    assert.equal((await engine.execs.waitExec({ execId, orDetached: true })).exitCode, 0);
    await killRunning(execId);
    assert.equal((await engine.execs.waitExec({ execId })).exitCode, 137);
  });

  it("lays its environment over the container's, and takes user and folder", async () => {
    const script = "echo $FROM $MORE; id -u; pwd";
    const { stdout } = await exec(["sh", "-c", script], {
      env: ["MORE=exec"],
      user: "nobody",
      workingDir: "/tmp",
    });
    assert.equal(stdout, "container exec\n65534\n/tmp\n");
  });

  it("carries standard input and its end", async () => {
    const { stdout } = await exec(["cat"], { attachStdin: true }, "some text");
    assert.equal(stdout, "some text");
  });

  it("tells of a command that does not exist as output and with code 127", async () => {
    const { stdout, stderr, exitCode } = await exec(["no-such"]);
    assert.equal(exitCode, 127);
    assert.match(stdout + stderr, /executable file not found in \$PATH/);
  });

  it("starts detached, and fails at once when it cannot", async () => {
    const { execId } = await engine.execs.createExec({
      container: id,
      cmd: ["sh", "-c", "exit 8"],
    });
    await engine.execs.startExec({ execId, detach: true });
    assert.equal((await engine.execs.waitExec({ execId })).exitCode, 8);
    const bad = await engine.execs.createExec({ container: id, cmd: ["no-such"] });
    await assert.rejects(engine.execs.startExec({ execId: bad.execId, detach: true }), {
      kind: "invalid_argument",
    });
  });

  it("gives a terminal of the size that was asked for", async () => {
    const { execId } = await engine.execs.createExec({
      container: id,
      cmd: ["stty", "size"],
      tty: true,
      attachStdout: true,
      attachStdin: true,
    });
    const { stream } = await engine.execs.startExec({
      execId,
      tty: true,
      consoleHeight: 12,
      consoleWidth: 34,
    });
    assert.ok(stream);
    assert.equal((await readAll(stream)).toString(), "12 34\r\n");
    await engine.execs.waitExec({ execId });
  });

  it("tells its events, and lists it while it runs", async () => {
    const { execId } = await engine.execs.createExec({ container: id, cmd: ["sleep", "1000"] });
    await engine.execs.startExec({ execId, detach: true });
    const { container } = await engine.containers.inspectContainer({ container: id });
    assert.deepEqual(container?.execIds, [execId]);
    await killRunning(execId);
    await engine.execs.waitExec({ execId });
    const actions = await engine.actions(id);
    assert.deepEqual(actions.slice(-3), [
      "exec_create: sleep 1000",
      "exec_start: sleep 1000",
      "exec_die",
    ]);
  });

  it("tells of a program without arguments with a blank behind it, as dockerd does", async () => {
    const { execId } = await engine.execs.createExec({ container: id, cmd: ["true"] });
    await engine.execs.startExec({ execId, detach: true });
    await engine.execs.waitExec({ execId });
    const actions = await engine.actions(id);
    assert.deepEqual(actions.slice(-3), ["exec_create: true ", "exec_start: true ", "exec_die"]);
  });

  it("refuses an exec without command, and an unknown one", async () => {
    await assert.rejects(engine.execs.createExec({ container: id, cmd: [] }), {
      kind: "invalid_argument",
      message: "No exec command specified",
    });
    await assert.rejects(engine.execs.inspectExec({ execId: "nope" }), {
      kind: "not_found",
      message: "No such exec instance: nope",
    });
  });

  it("checks health by execs, tells changes, and keeps what was said through a pause and a restart", async () => {
    const checked = await engine.create("while :; do sleep 0.05; done", {
      config: {
        image: "busybox",
        healthcheck: {
          test: { values: ["CMD-SHELL", "echo probe; test -e /tmp/well"] },
          intervalNs: 50_000_000n,
          // What fails in here counts for nothing: it is `starting` until it gets well.
          startPeriodNs: 600_000_000_000n,
          startIntervalNs: 50_000_000n,
          retries: 2,
        },
      },
    });
    await engine.containers.startContainer({ container: checked });
    const health = async () => {
      const { container } = await engine.containers.inspectContainer({ container: checked });
      return container?.state?.health;
    };
    const execute = async (...cmd: string[]) => {
      const { execId } = await engine.execs.createExec({ container: checked, cmd });
      await engine.execs.startExec({ execId, detach: true });
    };
    assert.equal((await health())?.status, "starting");
    await execute("touch", "/tmp/well");
    await eventually(async () => (await health())?.status === "healthy");
    assert.equal((await health())?.log[0]?.output, "probe\n");
    await execute("rm", "/tmp/well");
    await eventually(async () => (await health())?.status === "unhealthy");
    assert.ok(((await health())?.failingStreak ?? 0) >= 2);
    const actions = (await engine.actions(checked)).filter((action) => action.startsWith("health"));
    assert.deepEqual(actions, ["health_status: healthy", "health_status: unhealthy"]);

    await engine.containers.pauseContainer({ container: checked });
    await engine.containers.unpauseContainer({ container: checked });
    assert.equal((await health())?.status, "unhealthy");
    assert.ok(((await health())?.failingStreak ?? 0) >= 2);
    const again = BigInt(Date.now()) * 1_000_000n;
    await engine.containers.restartContainer({ container: checked, timeoutSeconds: 0 });
    const restarted = await health();
    assert.deepEqual([restarted?.status, restarted?.failingStreak], ["starting", 0]);
    const first = restarted?.log[0];
    assert.ok(first !== undefined && first.startNano < again, "what was said before is kept");
    await engine.containers.removeContainer({ container: checked, force: true });
  });

  it("keeps what a probe said that took too long, and ends it", async () => {
    const checked = await engine.create("while :; do sleep 0.05; done", {
      config: {
        image: "busybox",
        healthcheck: {
          test: { values: ["CMD-SHELL", "echo said; sleep 54321"] },
          intervalNs: 50_000_000n,
          timeoutNs: 3_000_000_000n,
        },
      },
    });
    await engine.containers.startContainer({ container: checked });
    await eventually(async () => {
      const { container } = await engine.containers.inspectContainer({ container: checked });
      return (container?.state?.health?.log.length ?? 0) > 0;
    });
    const { container } = await engine.containers.inspectContainer({ container: checked });
    const probe = container?.state?.health?.log[0];
    assert.deepEqual(
      [probe?.exitCode, probe?.output],
      [-1, "Health check exceeded timeout (3s): said\n"],
    );
    await engine.containers.removeContainer({ container: checked, force: true });
  });

  it("ends execs with the container, and keeps what became of them until it is removed", async () => {
    const { execId } = await engine.execs.createExec({ container: id, cmd: ["sleep", "100"] });
    await engine.execs.startExec({ execId, detach: true });
    const later = await engine.execs.createExec({ container: id, cmd: ["true"] });
    const waiting = engine.execs.waitExec({ execId });
    await engine.containers.killContainer({ container: id });
    assert.equal((await waiting).exitCode, 137);
    const { exec: ended } = await engine.execs.inspectExec({ execId });
    assert.deepEqual([ended?.running, ended?.exitCode], [false, 137]);
    const notRunning = { kind: "conflict", message: `container ${id} is not running` };
    await assert.rejects(engine.execs.resizeExec({ execId, height: 10, width: 10 }), notRunning);
    await assert.rejects(engine.execs.startExec({ execId, detach: true }), notRunning);

    await engine.containers.startContainer({ container: id });
    await assert.rejects(engine.execs.startExec({ execId, detach: true }), {
      kind: "conflict",
      message: `exec command ${execId} has already run`,
    });
    await engine.execs.startExec({ execId: later.execId, detach: true });
    assert.equal((await engine.execs.waitExec({ execId: later.execId })).exitCode, 0);

    await engine.containers.removeContainer({ container: id, force: true });
    await assert.rejects(engine.execs.inspectExec({ execId }), { kind: "not_found" });
  });
});
