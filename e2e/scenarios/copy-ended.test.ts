/** Archives of a container whose process has ended, and whose end is not told yet. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { TestEngine } from "@gantry/testkit/test-engine";
import { untilPasses } from "@gantry/testkit/until-passes";
import { ask } from "../src/http.ts";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

/** State and parent of a process, from /proc. */
async function statusOf(pid: number): Promise<{ state: string; parent: number }> {
  const text = await readFile(`/proc/${String(pid)}/stat`, "utf8");
  const [state = "", parent = ""] = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return { state, parent: Number(parent) };
}

/** Longer than an answer that waits for nothing takes. */
const promptMs = 1000;

describe("a container that has just ended", () => {
  for (const question of ["export", "archive?path=/etc/passwd"]) {
    it(`is read all the same: ${question}`, async () => {
      const id = await engine.docker(["run", "-d", "busybox", "sleep", "100000"]);
      const pid = Number(await engine.docker(["inspect", "-f", "{{.State.Pid}}", id]));
      const { parent: shim } = await statusOf(pid);
      // Who would tell of the end does not come to it.
      process.kill(shim, "SIGSTOP");
      await using held = new AsyncDisposableStack();
      held.defer(() => {
        process.kill(shim, "SIGCONT");
      });
      process.kill(pid, "SIGKILL");
      await untilPasses(async () => {
        assert.equal((await statusOf(pid)).state, "Z");
      });
      const answer = ask(engine, { method: "GET", path: `/containers/${id}/${question}` });
      assert.equal(await Promise.race([answer, pause(promptMs, "none yet")]), "none yet");
      await held.disposeAsync();
      assert.equal((await answer).status, 200);
      assert.equal(await engine.docker(["wait", id]), "137");
      await engine.docker(["rm", id]);
    });
  }
});
