import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, it } from "node:test";
import { hasEnded } from "./has-ended.ts";
import { eventually, findLeaks, openEngineRoots, run } from "./index.ts";
import { isLinkOf } from "./leaks.ts";

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

describe("run", () => {
  it("kills a program in time, with what it has started, and tells what they said", async () => {
    const script = "sleep 1000 & echo $!; sh -c 'echo said; sleep 1000; true'; true";
    const ran = await run(["sh", "-c", script], { timeoutMs: 300 });
    assert.equal(ran.code, 137);
    const [sleeper, ...said] = ran.stdout.trim().split("\n");
    assert.deepEqual(said, ["said"]);
    await eventually(() => hasEnded(Number(sleeper)));
  });
});

describe("findLeaks", () => {
  it("tells an engine's links from those of an instance whose letters follow", () => {
    for (const name of ["gtry0", "gtry-0123456789", "gtry_0123456789"])
      assert.ok(isLinkOf("gtry", name), name);
    for (const name of ["gtryx0", "gtryx-0123", "gtryx_0123", "eth0", "gtry"])
      assert.ok(!isLinkOf("gtry", name), name);
  });

  it("finds a process that holds a file below the engine's root, and nothing once it is gone", async () => {
    await using roots = await openEngineRoots();
    const scope = { root: roots.path, ...roots.config };
    const file = `${roots.path}/held`;
    assert.deepEqual(await findLeaks(scope), []);
    const child = spawn("sh", ["-c", 'exec 3>"$0"; echo held; read line', file]);
    await once(child.stdout, "data");
    const [line, ...others] = await findLeaks(scope);
    assert.match(line ?? "", new RegExp(`^process ${String(child.pid)} \\(.*\\): ${file}$`));
    assert.deepEqual(others, []);
    child.stdin.end();
    await once(child, "exit");
    assert.deepEqual(await findLeaks(scope), []);
  });
});
