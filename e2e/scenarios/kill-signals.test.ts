/** What a signal of a user's says of a container's next run, and of a paused one: as with a dockerd. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { TestEngine } from "@gantry/testkit/test-engine";
import { untilPasses } from "@gantry/testkit/until-passes";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

const docker = (...args: string[]): Promise<string> => engine.docker(args);

/** Ends with 3 by each of the signals that it knows, and is to run always. */
async function eternal(...options: string[]): Promise<string> {
  const script = "trap 'exit 3' USR1 INT; echo ready; while :; do sleep 0.05; done";
  const always = ["--restart", "always", ...options];
  const id = await docker("run", "-d", ...always, "busybox", "sh", "-c", script);
  await untilPasses(async () => {
    assert.equal(await docker("logs", id), "ready");
  });
  return id;
}

async function comesTo(id: string, state: string): Promise<void> {
  const format = "{{.State.Status}} {{.State.ExitCode}} {{.RestartCount}}";
  await untilPasses(async () => {
    assert.equal(await docker("inspect", "-f", format, id), state);
  });
  await docker("rm", "-f", id);
}

describe("a signal by docker kill", () => {
  it("ends a container without a stop signal of its own for good, whichever it is", async () => {
    const id = await eternal();
    await docker("kill", "-s", "USR1", id);
    await comesTo(id, "exited 3 0");
  });

  it("is remembered by such a container that goes on, when it ends by itself", async () => {
    const id = await eternal();
    await docker("kill", "-s", "WINCH", id);
    await docker("exec", id, "kill", "-USR1", "1");
    await comesTo(id, "exited 3 0");
  });

  it("lets such a container go on that is paused", async () => {
    const id = await eternal();
    await docker("pause", id);
    await docker("kill", "-s", "WINCH", id);
    await comesTo(id, "running 0 0");
  });

  it("leaves the policy of one that has a stop signal, and its pause, unless it is that one", async () => {
    const id = await eternal("--stop-signal", "INT");
    await docker("pause", id);
    await docker("kill", "-s", "USR1", id);
    assert.equal(await docker("inspect", "-f", "{{.State.Status}}", id), "paused");
    await docker("unpause", id);
    await comesTo(id, "running 0 1");
    const other = await eternal("--stop-signal", "INT");
    await docker("kill", "-s", "INT", other);
    await comesTo(other, "exited 3 0");
  });
});
