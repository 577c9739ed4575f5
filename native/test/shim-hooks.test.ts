/** Hooks of a container (OCI runtime-spec, config.md#posix-platform-hooks). */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { describe, it } from "node:test";
import { hasEnded } from "@gantry/testkit";
import { holds, Playground } from "./shim-driver.ts";
import { type HookInit, type PlanInit, processOf } from "./shim-plan.ts";

const sh = (script: string): PlanInit => ({ process: processOf(["sh", "-c", script]) });

describe("hooks", () => {
  const hook = (playground: Playground, stage: string, script: string): HookInit => ({
    stage,
    path: "/bin/sh",
    args: ["sh", "-c", `echo ${stage} >> ${playground.path("order")}; ${script}`],
    env: ["PATH=/bin:/usr/bin"],
  });

  it("run in the spec's order with the state on standard input", async () => {
    await using playground = await Playground.make();
    const stages = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"];
    const shim = playground.launch({
      ...sh(`echo started; ls /container-hook`),
      hookStateJson: '{"ociVersion":"1.0.2","id":"x"}',
      hooks: [
        ...stages.map((stage) => hook(playground, stage, `cat > ${playground.path(stage)}`)),
        {
          stage: "startContainer",
          path: "/bin/sh",
          args: ["sh", "-c", "echo > /container-hook"],
          env: ["PATH=/bin"],
        },
      ],
    });
    assert.equal((await shim.message("exited")).exitCode, 0);
    await shim.exitOfProcess();
    assert.deepEqual(readFileSync(playground.path("order"), "utf8").trim().split("\n"), stages);
    const { pid } = await shim.message("started");
    const state = (stage: string): Record<string, unknown> =>
      JSON.parse(readFileSync(playground.path(stage), "utf8"));
    assert.deepEqual(state("prestart"), { status: "creating", pid, ociVersion: "1.0.2", id: "x" });
    assert.equal(state("poststart")["status"], "running");
    assert.equal(state("poststop")["status"], "stopped");
  });

  it("that fail or take too long fail the start", async () => {
    await using playground = await Playground.make();
    for (const [script, timeoutSeconds, text] of [
      ["echo why >&2; exit 3", 0, /exit status 3, output: why/],
      ["sleep 100", 1, /timed out/],
    ] as const) {
      const shim = playground.launch({
        ...sh("true"),
        hooks: [{ ...hook(playground, "createRuntime", script), timeoutSeconds }],
      });
      const failed = await shim.message("startFailed");
      assert.match(failed.message, text);
      await shim.exitOfProcess();
    }
  });
});

describe("a state that is larger than a pipe", () => {
  const state = { id: "x", annotations: { large: "a".repeat(200_000) } };
  const plan = (playground: Playground, script: string): PlanInit => ({
    ...sh("true"),
    hookStateJson: JSON.stringify(state),
    hooks: [
      {
        stage: "createRuntime",
        path: "/bin/sh",
        args: ["sh", "-c", script, "hook", playground.path("state")],
        env: ["PATH=/bin:/usr/bin"],
        timeoutSeconds: 1,
      },
    ],
  });

  it("reaches a hook that reads it", async () => {
    await using playground = await Playground.make();
    const shim = playground.launch(plan(playground, 'cat > "$1"'));
    assert.equal((await shim.message("exited")).exitCode, 0);
    await shim.exitOfProcess();
    const { id, annotations } = JSON.parse(readFileSync(playground.path("state"), "utf8"));
    assert.deepEqual({ id, annotations }, state);
  });

  it("does not keep a hook that does not read it beyond its time", async () => {
    await using playground = await Playground.make();
    const shim = playground.launch(plan(playground, "sleep 100"));
    const failed = await shim.message("startFailed");
    assert.match(failed.message, /timed out/);
    await shim.exitOfProcess();
  });
});

describe("hooks after start and end", () => {
  const hook = (stage: string, script: string): HookInit => ({
    stage,
    path: "/bin/sh",
    args: ["sh", "-c", script],
    env: ["PATH=/bin:/usr/bin"],
  });

  it("that fail are complained of, and the others and the container go on", async () => {
    await using playground = await Playground.make();
    const shim = playground.launch({
      ...sh("echo ran"),
      hooks: [
        hook("poststart", "echo too late >&2; exit 3"),
        hook("poststart", `: > ${playground.path("second-start")}`),
        hook("poststop", "exit 4"),
        hook("poststop", `: > ${playground.path("second-stop")}`),
      ],
    });
    assert.equal((await shim.message("exited")).exitCode, 0);
    await shim.exitOfProcess();
    assert.ok(existsSync(playground.path("second-start")));
    assert.ok(existsSync(playground.path("second-stop")));
    await shim.message("warning", ({ text }) => /poststart hook .*status 3.*too late/.test(text));
    await shim.message("warning", ({ text }) => /poststop hook .*exit status 4/.test(text));
  });

  it("do not let what is asked meanwhile go before the end of the container", async () => {
    await using playground = await Playground.make();
    const go = playground.path("go");
    const shim = playground.launch({
      ...sh("exec sleep 100"),
      hooks: [hook("poststart", `until test -e ${go}; do sleep 0.01; done`)],
    });
    const { pid } = await shim.message("started");
    process.kill(pid, "SIGKILL");
    await holds(() => hasEnded(pid));
    const asked = shim.request({ case: "addTicket", value: { ticket: new Uint8Array(32) } });
    writeFileSync(go, "");
    const answer = await asked;
    assert.equal(answer.case === "error" && answer.value.code, "gone");
    await shim.message("exited");
  });
});
