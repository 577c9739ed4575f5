import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { internal, notFound } from "@gantry/errors";
import { eventually } from "@gantry/testkit";
import { procFile, readAll, startEngine, type TestEngine, unframe } from "./engine.ts";

describe("lifecycle", () => {
  let engine: TestEngine;
  before(async () => {
    engine = await startEngine();
  });
  after(async () => {
    await engine[Symbol.asyncDispose]();
  });

  const inspect = async (id: string) => {
    const { container } = await engine.containers.inspectContainer({ container: id });
    assert.ok(container?.state);
    return { ...container, state: container.state };
  };
  const remove = (id: string) => engine.containers.removeContainer({ container: id, force: true });
  const start = (id: string) => engine.containers.startContainer({ container: id });

  it("runs a container to its end and tells its code and events in Docker's order", async () => {
    const id = await engine.create("exit 7");
    assert.equal(await engine.run(id), 7);
    const { state } = await inspect(id);
    assert.equal(state.status, "exited");
    assert.equal(state.exitCode, 7);
    assert.ok(state.startedAtNano > 0n && state.finishedAtNano >= state.startedAtNano);
    await engine.containers.removeContainer({ container: id });
    assert.deepEqual(await engine.actions(id), [
      "create",
      "network connect",
      "start",
      "network disconnect",
      "die",
      "destroy",
    ]);
    await assert.rejects(engine.containers.inspectContainer({ container: id }), {
      kind: "not_found",
      message: `No such container: ${id}`,
    });
    await eventually(() => engine.images.leases().length === 0);
  });

  it("streams output to who attached before the start", async () => {
    const id = await engine.create("echo out; echo err >&2");
    const { stream, tty } = await engine.containers.attachContainer({
      container: id,
      stdout: true,
      stderr: true,
      stream: true,
    });
    assert.equal(tty, false);
    assert.ok(stream);
    const output = readAll(stream);
    assert.equal(await engine.run(id), 0);
    assert.deepEqual(unframe(await output), { stdout: "out\n", stderr: "err\n" });
    await remove(id);
  });

  it("carries standard input to a container that reads it", async () => {
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
    const output = readAll(stream, "hello\n");
    assert.equal(await engine.run(id), 0);
    assert.equal(unframe(await output).stdout, "hello\n");
    await remove(id);
  });

  it("answers a second start and a second stop with not_modified", async () => {
    const id = await engine.create("trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done");
    await start(id);
    await assert.rejects(start(id), { kind: "not_modified" });
    await engine.said(id, "ready");
    await engine.containers.stopContainer({ container: id, timeoutSeconds: 60 });
    const { state } = await inspect(id);
    assert.equal(state.status, "exited");
    assert.equal(state.exitCode, 3);
    await assert.rejects(engine.containers.stopContainer({ container: id }), {
      kind: "not_modified",
    });
    // dockerd looks at the signal after that.
    await assert.rejects(engine.containers.stopContainer({ container: id, signal: "foo" }), {
      kind: "not_modified",
    });
    const actions = await engine.actions(id);
    assert.deepEqual(actions.slice(-4), ["kill", "network disconnect", "die", "stop"]);
    await remove(id);
  });

  it("kills what does not heed the stop signal", async () => {
    const id = await engine.create("trap '' TERM; while :; do sleep 0.05; done");
    await start(id);
    await engine.containers.stopContainer({ container: id, timeoutSeconds: 1 });
    assert.equal((await inspect(id)).state.exitCode, 137);
    await remove(id);
  });

  it("refuses what needs a running container when it does not run", async () => {
    const id = await engine.create("true");
    const running = `container ${id} is not running`;
    const calls = {
      kill: engine.containers.killContainer({ container: id }),
      pause: engine.containers.pauseContainer({ container: id }),
      top: engine.containers.topContainer({ container: id }),
      resize: engine.containers.resizeContainer({ container: id, height: 1, width: 1 }),
      exec: engine.execs.createExec({ container: id, cmd: ["true"] }),
    };
    for (const [name, call] of Object.entries(calls)) {
      const message = name === "kill" ? `cannot kill container: ${id}: ${running}` : running;
      await assert.rejects(call, { kind: "conflict", message });
    }
    await assert.rejects(engine.containers.unpauseContainer({ container: id }), {
      kind: "internal",
      message: `Container ${id} is not paused`,
    });
    await remove(id);
  });

  it("freezes and thaws", async () => {
    const id = await engine.create("while :; do sleep 0.05; done");
    await start(id);
    await engine.containers.pauseContainer({ container: id });
    const { state } = await inspect(id);
    assert.deepEqual([state.status, state.running, state.paused], ["paused", true, true]);
    await assert.rejects(engine.containers.pauseContainer({ container: id }), {
      message: `container ${id} is already paused`,
    });
    await assert.rejects(start(id), {
      kind: "conflict",
      message: "cannot start a paused container, try unpause instead",
    });
    await assert.rejects(engine.execs.createExec({ container: id, cmd: ["true"] }), {
      message: `Container ${id} is paused, unpause the container before exec`,
    });
    await engine.containers.unpauseContainer({ container: id });
    assert.equal((await inspect(id)).state.status, "running");
    await engine.containers.killContainer({ container: id });
    assert.equal((await inspect(id)).state.exitCode, 137);
    await remove(id);
  });

  it("says in state and error why a command cannot be started", async () => {
    const id = await engine.create("", {
      config: { image: "busybox", cmd: { values: ["no-such"] } },
    });
    await assert.rejects(start(id), {
      kind: "invalid_argument",
      message: /exec: "no-such": executable file not found in \$PATH/,
    });
    const { state } = await inspect(id);
    assert.deepEqual([state.status, state.exitCode], ["created", 127]);
    assert.match(state.error, /executable file not found/);
    await remove(id);
  });

  it("removes by itself what was created with auto-remove, also when the start fails", async () => {
    const id = await engine.create("exit 4", { hostConfig: { autoRemove: true } });
    const wait = engine.containers
      .waitContainer({ container: id, condition: "removed" })
      [Symbol.asyncIterator]();
    await wait.next();
    await start(id);
    assert.equal((await wait.next()).value.exitCode, 4);
    await assert.rejects(inspect(id), { kind: "not_found" });
    assert.equal((await engine.actions(id)).at(-1), "destroy");
    // Who started it and waits only now is not too late.
    for (const condition of ["", "next-exit", "removed"]) {
      const late = engine.containers.waitContainer({ container: id, condition });
      const answers = await Array.fromAsync(late);
      assert.deepEqual([answers.at(-1)?.done, answers.at(-1)?.exitCode], [true, 4]);
    }
    const failing = await engine.create("", {
      config: { image: "busybox", cmd: { values: ["no-such"] } },
      hostConfig: { autoRemove: true },
    });
    await assert.rejects(start(failing), { kind: "invalid_argument" });
    await eventually(async () => {
      await assert.rejects(inspect(failing), { kind: "not_found" });
      return true;
    });
    await eventually(() => engine.images.leases().length === 0);
  });

  it("restarts by policy with growing pauses and counts the restarts", async () => {
    const policy = { name: "on-failure", maximumRetryCount: 2 };
    const id = await engine.create("exit 5", { hostConfig: { restartPolicy: policy } });
    await start(id);
    await eventually(async () => {
      const { state, restartCount } = await inspect(id);
      return state.status === "exited" && restartCount === 2;
    });
    const actions = await engine.actions(id);
    const runs = actions.filter((action) => action === "start" || action === "die");
    assert.deepEqual(runs, ["start", "die", "start", "die", "start", "die"]);
    await remove(id);
  });

  it("does not restart what a user stopped", async () => {
    const id = await engine.create("while :; do sleep 0.05; done", {
      hostConfig: { restartPolicy: { name: "always", maximumRetryCount: 0 } },
    });
    await start(id);
    await engine.containers.stopContainer({ container: id, timeoutSeconds: 0 });
    const { state, manuallyStopped } = await inspect(id);
    assert.deepEqual([state.status, manuallyStopped], ["exited", true]);
    await remove(id);
  });

  it("does not restart what a user killed between two runs", async () => {
    const cases = [
      ["", "KILL", "exited"],
      ["", "HUP", "exited"],
      ["USR1", "USR1", "exited"],
      ["USR1", "HUP", "restarting"],
    ] as const;
    await Promise.all(
      cases.map(async ([stopSignal, signal, becomes]) => {
        const id = await engine.create("exit 1", {
          config: { stopSignal },
          hostConfig: { restartPolicy: { name: "always", maximumRetryCount: 0 } },
        });
        await start(id);
        // The pause after the sixth end is 3.2 s: long enough to be met. The state alone would not tell
        // the pause from the start that follows it.
        await eventually(async () => {
          const ends = (await engine.actions(id)).filter((action) => action === "die");
          return ends.length >= 6;
        });
        await engine.containers.killContainer({ container: id, signal });
        assert.equal((await inspect(id)).state.status, becomes, `${stopSignal} ${signal}`);
        await remove(id);
      }),
    );
  });

  it("restarts for a user: die, stop, start, restart", async () => {
    const id = await engine.create("while :; do sleep 0.05; done", {
      hostConfig: { autoRemove: true },
    });
    await start(id);
    const { pid } = (await inspect(id)).state;
    await engine.containers.restartContainer({ container: id, timeoutSeconds: 0 });
    const { state } = await inspect(id);
    assert.equal(state.status, "running");
    assert.notEqual(state.pid, pid);
    const lifecycle = (await engine.actions(id)).filter((action) => !action.includes("network"));
    assert.deepEqual(lifecycle.slice(-5), ["kill", "die", "stop", "start", "restart"]);
    await remove(id);
  });

  it("refuses to remove what runs, unless by force", async () => {
    const id = await engine.create("while :; do sleep 0.05; done");
    await start(id);
    await assert.rejects(engine.containers.removeContainer({ container: id }), {
      kind: "conflict",
      message: `cannot remove container "${id}": container is running: stop the container before removing or force remove`,
    });
    await remove(id);
    await assert.rejects(inspect(id), { kind: "not_found" });
  });

  it("keeps names unique, and gives them back", async () => {
    const id = await engine.create("true", { name: "only" });
    await assert.rejects(engine.create("true", { name: "only" }), {
      kind: "already_exists",
      message: `Conflict. The container name "/only" is already in use by container "${id}". You have to remove (or rename) that container to be able to reuse that name.`,
    });
    await engine.containers.renameContainer({ container: "only", name: "other" });
    const { container } = await engine.containers.inspectContainer({ container: "other" });
    assert.equal(container?.id, id);
    const again = await engine.create("true", { name: "only" });
    await assert.rejects(engine.containers.renameContainer({ container: again, name: "other" }), {
      kind: "already_exists",
      message: /^Error when allocating new name: Conflict\./,
    });
    await remove(id);
    await remove(again);
  });

  it("resizes a terminal, and gives the program one", async () => {
    const id = await engine.create("while :; do stty size; sleep 0.05; done", {
      config: { image: "busybox", tty: true },
    });
    const { stream } = await engine.containers.attachContainer({
      container: id,
      stdout: true,
      stream: true,
    });
    assert.ok(stream);
    const output = readAll(stream);
    await start(id);
    await engine.containers.resizeContainer({ container: id, height: 33, width: 77 });
    await engine.said(id, "33 77");
    await remove(id);
    assert.match((await output).toString(), /33 77/);
  });

  it("waits for what runs, and answers at once for what does not", async () => {
    const id = await engine.create("exit 9");
    const waitFor = async (condition: string) => {
      for await (const { done, exitCode } of engine.containers.waitContainer({
        container: id,
        condition,
      })) {
        if (done) return exitCode;
      }
      return -1;
    };
    assert.equal(await waitFor("not-running"), 0);
    await assert.rejects(waitFor("sometime"), {
      kind: "invalid_argument",
      message: 'invalid condition: "sometime"',
    });
    await engine.run(id);
    assert.equal(await waitFor(""), 9);
    await remove(id);
  });

  it("lists with filters, newest first", async () => {
    const one = await engine.create("exit 6", {
      name: "list-one",
      config: { image: "busybox", labels: { a: "1" } },
    });
    const two = await engine.create("while :; do sleep 0.05; done", { name: "list-two" });
    await engine.run(one);
    await start(two);
    const list = async (filters: Record<string, string[]>, all = true) => {
      const set = Object.fromEntries(
        Object.entries(filters).map(([key, values]) => [key, { values }]),
      );
      const { containers } = await engine.containers.listContainers({
        all,
        filters: { filters: set },
      });
      return containers.map((each) => each.name);
    };
    assert.deepEqual(await list({}), ["list-two", "list-one"]);
    assert.deepEqual(await list({}, false), ["list-two"]);
    assert.deepEqual(await list({ label: ["a=1"] }), ["list-one"]);
    assert.deepEqual(await list({ exited: ["6"] }, false), ["list-one"]);
    assert.deepEqual(await list({ status: ["running"] }), ["list-two"]);
    assert.deepEqual(await list({ name: ["^/list-o"] }), ["list-one"]);
    assert.deepEqual(await list({ ancestor: ["busybox"] }), ["list-two", "list-one"]);
    assert.deepEqual(await list({ before: ["list-two"] }), ["list-one"]);
    await assert.rejects(list({ colour: ["red"] }), {
      kind: "invalid_argument",
      message: "invalid filter 'colour'",
    });
    await remove(one);
    await remove(two);
  });

  it("tells which processes run and what they use", async () => {
    const id = await engine.create("sleep 54321 & while :; do sleep 0.05; done");
    await start(id);
    await eventually(async () => {
      const { titles, processes } = await engine.containers.topContainer({ container: id });
      assert.ok(titles.includes("PID"));
      return processes.some(({ values }) => values.at(-1) === "sleep 54321");
    });
    for await (const { current, previous } of engine.containers.statsContainer({
      container: id,
      oneShot: true,
    })) {
      assert.ok(current !== undefined && current.cpuTotalNs > 0n && current.pidsCurrent >= 2n);
      assert.equal(previous, undefined);
    }
    await remove(id);
  });

  it("changes limits of a running container in the kernel", async () => {
    const id = await engine.create("while :; do sleep 0.05; done", {
      hostConfig: { resources: { memoryBytes: 64n << 20n } },
    });
    await start(id);
    await engine.containers.updateContainer({
      container: id,
      resources: { pidsLimit: 77n, memoryBytes: 32n << 20n },
    });
    const { hostConfig } = await inspect(id);
    assert.equal(hostConfig?.resources?.memoryBytes, 32n << 20n);
    for await (const { current } of engine.containers.statsContainer({
      container: id,
      oneShot: true,
    })) {
      assert.equal(current?.memoryLimitBytes, 32n << 20n);
      assert.equal(current?.pidsLimit, 77n);
    }
    // As the statistics of cgroup v1 and of v2 have it.
    const unlimited = new Set([0n, 18446744073709551615n]);
    for (const pidsLimit of [0n, -1n]) {
      await engine.containers.updateContainer({ container: id, resources: { pidsLimit: 78n } });
      await engine.containers.updateContainer({ container: id, resources: { pidsLimit } });
      assert.equal((await inspect(id)).hostConfig?.resources?.pidsLimit, 0n);
      for await (const { current } of engine.containers.statsContainer({
        container: id,
        oneShot: true,
      })) {
        assert.ok(unlimited.has(current?.pidsLimit ?? 1n));
      }
    }
    await engine.containers.restartContainer({ container: id, timeoutSeconds: 0 });
    for await (const { current } of engine.containers.statsContainer({
      container: id,
      oneShot: true,
    })) {
      assert.ok(unlimited.has(current?.pidsLimit ?? 1n));
    }
    await remove(id);
  });

  it("puts user, capabilities and limits of the configuration into the process", async () => {
    const id = await engine.create("while :; do sleep 0.05; done", {
      config: { image: "busybox", user: "nobody", workingDir: "/new/dir", env: ["A=b"] },
      hostConfig: {
        capDrop: { values: ["ALL"] },
        capAdd: { values: ["net_admin"] },
        resources: { ulimits: [{ name: "nofile", soft: 123n, hard: 456n }] },
        oomScoreAdj: 300,
      },
    });
    await start(id);
    const { pid } = (await inspect(id)).state;
    const status = procFile(pid, "status");
    assert.match(status, /^Uid:\t65534\t/m);
    assert.match(status, /^CapBnd:\t0000000000001000$/m);
    assert.match(status, /^NoNewPrivs:\t0$/m);
    assert.match(status, /^Seccomp:\t2$/m);
    assert.match(procFile(pid, "limits"), /Max open files +123 +456/);
    assert.equal(procFile(pid, "oom_score_adj").trim(), "300");
    assert.match(procFile(pid, "environ"), /(^|\0)A=b\0/);
    await remove(id);
  });

  it("prunes what does not run", async () => {
    const id = await engine.create("true", {
      config: { image: "busybox", labels: { prune: "me" } },
    });
    const filters = { filters: { label: { values: ["prune=me"] } } };
    const { deleted } = await engine.containers.pruneContainers({ filters });
    assert.deepEqual(deleted, [id]);
  });

  it("prunes nothing whose size cannot be told, and what has no files any more for 0 bytes", async () => {
    const id = await engine.create("true", {
      config: { image: "busybox", labels: { prune: "unmeasured" } },
    });
    const filters = { filters: { label: { values: ["prune=unmeasured"] } } };
    try {
      engine.images.usageError = internal("read the snapshot: input/output error");
      await assert.rejects(engine.containers.pruneContainers({ filters }), {
        kind: "internal",
        message: "read the snapshot: input/output error",
      });
      assert.equal((await inspect(id)).state.status, "created");
      engine.images.usageError = notFound("snapshot", id);
      const { deleted, spaceReclaimedBytes } = await engine.containers.pruneContainers({ filters });
      assert.deepEqual(
        { deleted, spaceReclaimedBytes },
        { deleted: [id], spaceReclaimedBytes: 0n },
      );
    } finally {
      engine.images.usageError = undefined;
    }
  });

  it("leaves no folder of a removed container", async () => {
    const id = await engine.create("true");
    const folder = `${engine.roots.path}/data/container-service/containers/${id}`;
    assert.ok(existsSync(folder));
    await remove(id);
    assert.equal(existsSync(folder), false);
  });
});
