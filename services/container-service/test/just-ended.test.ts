/** What is asked of a container whose process has ended, before its end is told: Docker's answers, and no others. */
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { eventually } from "@gantry/testkit";
import { procFile, readAll, startEngine, type TestEngine } from "./engine.ts";

describe("a container that has just ended", () => {
  let engine: TestEngine;
  let id: string;
  let shimPid: number;
  before(async () => {
    engine = await startEngine();
  });
  after(async () => {
    await engine[Symbol.asyncDispose]();
  });
  // Its shim process is held up, so that it tells nothing.
  beforeEach(async () => {
    id = await engine.create("exec sleep 1000", { config: { image: "busybox", tty: true } });
    await engine.containers.startContainer({ container: id });
    const { pid } = await engine.stateOf(id);
    shimPid = Number(/^PPid:\t(\d+)$/m.exec(procFile(pid, "status"))?.[1]);
    process.kill(shimPid, "SIGSTOP");
    process.kill(pid, "SIGKILL");
    await eventually(() => /^State:\tZ/m.test(procFile(pid, "status")));
  });

  /** Its end is about to be told, to a service that has begun what it was asked before: it does that in order. */
  const release = async (): Promise<void> => {
    assert.equal((await engine.stateOf(id)).status, "running");
    process.kill(shimPid, "SIGCONT");
  };
  /** Its end has been told as it was. */
  const hasEnded = async (): Promise<void> => {
    await eventually(async () => (await engine.stateOf(id)).status === "exited");
    assert.equal((await engine.stateOf(id)).exitCode, 137);
    await engine.containers.removeContainer({ container: id });
  };
  const notRunning = () => ({ kind: "conflict", message: `container ${id} is not running` });

  it("is not running for pause and top", async () => {
    await assert.rejects(engine.containers.pauseContainer({ container: id }), notRunning());
    await assert.rejects(engine.containers.topContainer({ container: id }), notRunning());
    assert.equal((await engine.stateOf(id)).status, "running");
    await release();
    await hasEnded();
  });

  it("takes new limits for its next run", async () => {
    const resources = { memoryBytes: 64n << 20n, memorySwapBytes: 64n << 20n };
    await engine.containers.updateContainer({ container: id, resources });
    const { container } = await engine.containers.inspectContainer({ container: id });
    assert.equal(container?.hostConfig?.resources?.memoryBytes, 64n << 20n);
    await release();
    await hasEnded();
  });

  it("can be committed", async () => {
    const { imageId } = await engine.containers.commitContainer({ container: id, pause: true });
    assert.match(imageId, /^sha256:/);
    await release();
    await hasEnded();
  });

  it("takes signals, which reach nobody", async () => {
    await engine.containers.killContainer({ container: id, signal: "HUP" });
    await release();
    await hasEnded();
  });

  it("is killed and stopped as one that runs", async () => {
    const killed = engine.containers.killContainer({ container: id });
    const stopped = engine.containers.stopContainer({ container: id });
    await release();
    await killed;
    await stopped;
    await hasEnded();
  });

  it("is not running for execs", async () => {
    const { execId } = await engine.execs.createExec({ container: id, cmd: ["true"] });
    const started = engine.execs.startExec({ execId, detach: true });
    const refused = assert.rejects(started, notRunning());
    await release();
    await refused;
    await hasEnded();
  });

  it("has nothing to attach to, which is no error", async () => {
    const request = { container: id, stdout: true, stream: true };
    const attached = engine.containers.attachContainer(request);
    await release();
    const { stream } = await attached;
    // It may have been in time to see the end.
    if (stream !== undefined) assert.equal((await readAll(stream)).length, 0);
    await hasEnded();
  });
});
