import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, it } from "node:test";
import { eventually, findLeaks, openEngineRoots } from "./index.ts";

describe("eventually", () => {
  it("waits until the check holds, and returns what it answered", async () => {
    let rounds = 0;
    const answer = await eventually(() => ++rounds >= 3 && `round ${String(rounds)}`, {
      intervalMs: 1,
    });
    assert.equal(answer, "round 3");
  });

  it("throws the last failure when time is up", async () => {
    const check = () => {
      throw new Error("not yet");
    };
    // Intentionally short.
    await assert.rejects(eventually(check, { timeoutMs: 5, intervalMs: 1 }), /not yet/);
  });
});

describe("findLeaks", () => {
  it("finds a process that names the engine's root, and nothing once it is gone", async () => {
    await using roots = await openEngineRoots();
    const scope = { root: roots.path, ...roots.config };
    assert.deepEqual(await findLeaks(scope), []);
    const child = spawn("sh", ["-c", "read line", roots.path], {
      stdio: ["pipe", "ignore", "ignore"],
    });
    await once(child, "spawn");
    assert.match(
      (await findLeaks(scope)).join("\n"),
      new RegExp(`process ${String(child.pid)}: sh`),
    );
    child.stdin.end();
    await once(child, "exit");
    assert.deepEqual(await findLeaks(scope), []);
  });
});
