import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { readAll, startEngine, type TestEngine, unframe } from "./engine.ts";

describe("lifecycle", () => {
  let engine: TestEngine;
  before(async () => {
    engine = await startEngine();
  });
  after(async () => {
    await engine[Symbol.asyncDispose]();
  });

  it("runs a container to its end and tells its code and events", async () => {
    const id = await engine.create("exit 7");
    assert.equal(await engine.run(id), 7);
    const { container } = await engine.containers.inspectContainer({ container: id });
    assert.equal(container?.state?.status, "exited");
    assert.equal(container?.state?.exitCode, 7);
    await engine.containers.removeContainer({ container: id });
    assert.deepEqual(await engine.actions(id), ["create", "start", "die", "destroy"].flatMap((each) =>
      each === "start" ? ["network connect", "start", "network disconnect"] : [each]));
    await assert.rejects(engine.containers.inspectContainer({ container: id }), {
      kind: "not_found",
      message: `No such container: ${id}`,
    });
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
    await engine.containers.removeContainer({ container: id });
  });
});
