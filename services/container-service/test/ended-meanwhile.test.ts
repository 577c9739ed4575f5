/** Containers that are removed or stopped while something else is done with them. */
import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { resolveKind, toEngineError } from "@gantry/errors";
import { eventually } from "@gantry/testkit";
import { startEngine, type TestEngine } from "./engine.ts";

describe("a container that is removed while its files are read", () => {
  let engine: TestEngine;
  let id: string;
  before(async () => {
    engine = await startEngine();
  });
  after(async () => {
    await engine[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    id = await engine.create("true");
    engine.images.beforeRead = async () => {
      await engine.containers.removeContainer({ container: id });
      await eventually(() => !engine.images.snapshots().includes(id));
    };
  });
  afterEach(() => {
    engine.images.beforeRead = () => Promise.resolve();
  });

  const gone = () => ({ kind: "not_found", message: `No such container: ${id}` });

  it("is not found by inspect with sizes", async () => {
    await assert.rejects(engine.containers.inspectContainer({ container: id, size: true }), gone());
  });

  it("is not in a list with sizes, where others are", async () => {
    const remove = engine.images.beforeRead;
    engine.images.beforeRead = () => {
      engine.images.beforeRead = () => Promise.resolve();
      return remove();
    };
    const older = id;
    // The newest is read first.
    id = await engine.create("true");
    const { containers } = await engine.containers.listContainers({ all: true, size: true });
    assert.deepEqual(
      containers.map((each) => each.id),
      [older],
    );
    await engine.containers.removeContainer({ container: older });
  });

  it("has no changes", async () => {
    await assert.rejects(engine.containers.listChanges({ container: id }), gone());
  });

  it("is not committed", async () => {
    await assert.rejects(engine.containers.commitContainer({ container: id }), gone());
  });

  it("is pruned by whoever removed it, not by prune", async () => {
    const { deleted, spaceReclaimedBytes } = await engine.containers.pruneContainers({});
    assert.deepEqual({ deleted, spaceReclaimedBytes }, { deleted: [], spaceReclaimedBytes: 0n });
  });
});

describe("a container that is removed by force while it starts", () => {
  it("is told to be on its way out, whatever its start was doing", async () => {
    await using engine = await startEngine();
    const known = ["container is marked for removal and cannot be started", "started"];
    const outcomes = new Set<string>();
    const steps = 20;
    for (let round = 0; round < steps || outcomes.size < known.length; round += 1) {
      assert.ok(round < 40 * steps, `always ${[...outcomes].join()}`);
      const id = await engine.create("exec sleep 1000");
      const started = engine.containers.startContainer({ container: id }).then(
        () => "started",
        (error: unknown) => toEngineError(error).message,
      );
      // Each round a little later in the start.
      for (let look = 0; look < round % steps; look += 1) await engine.stateOf(id);
      await engine.containers.removeContainer({ container: id, force: true });
      const outcome = await started;
      assert.ok(known.includes(outcome), outcome);
      outcomes.add(outcome);
    }
  });
});

describe("a container that is stopped without patience while it starts", () => {
  it("is started and then stopped", async () => {
    await using engine = await startEngine();
    for (let round = 0; round < 20; round += 1) {
      const id = await engine.create("exec sleep 1000");
      const started = engine.containers.startContainer({ container: id });
      for (let look = 0; look < round; look += 1) await engine.stateOf(id);
      const stopped = engine.containers.stopContainer({ container: id, timeoutSeconds: 0 });
      const isTooEarly = await stopped.then(
        () => false,
        (error: unknown) => resolveKind(error) === "not_modified",
      );
      await started;
      if (isTooEarly) await engine.containers.killContainer({ container: id });
      const { status, exitCode } = await engine.stateOf(id);
      assert.deepEqual({ status, exitCode }, { status: "exited", exitCode: 137 });
      await engine.containers.removeContainer({ container: id });
    }
  });
});
