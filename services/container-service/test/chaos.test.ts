import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { eventually } from "@gantry/testkit";
import { untilPasses } from "@gantry/testkit/until-passes";
import { startEngine, type TestEngine } from "./engine.ts";

/** Printed, and taken from CHAOS_SEED, so that a run can be had again. */
const seed = Number(process.env["CHAOS_SEED"] ?? Date.now() % 1_000_000);

/** A small generator with a seed (mulberry32). */
function randomFrom(start: number): () => number {
  let state = start;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

describe(`containers under kill -9 of their service, seed ${String(seed)}`, () => {
  let engine: TestEngine;
  before(async () => {
    engine = await startEngine();
  });
  after(async () => {
    await engine[Symbol.asyncDispose]();
  });

  it("has the true exit code of each, and one die for each start", async () => {
    const random = randomFrom(seed);
    const codes = new Map<string, number>();
    for (let index = 0; index < 12; index++) {
      const code = 1 + Math.floor(random() * 120);
      const id = await engine.create(`sleep ${(random() * 2).toFixed(2)}; exit ${String(code)}`);
      codes.set(id, code);
    }
    for (let round = 0; round < 3; round++) {
      const starts = Promise.allSettled(
        [...codes.keys()].map(async (id) => {
          if ((await engine.stateOf(id)).status === "created")
            await engine.tryStart(id, ["not_modified"]);
        }),
      );
      await pause(random() * 300);
      await engine.crash();
      await starts;
    }
    for (const id of codes.keys())
      if ((await engine.stateOf(id)).status === "created")
        await engine.tryStart(id, ["not_modified"]);
    for (const [id, code] of codes) {
      await eventually(async () => (await engine.stateOf(id)).status === "exited");
      assert.equal((await engine.stateOf(id)).exitCode, code);
      const actions = await engine.actions(id);
      const count = (wanted: string) => actions.filter((action) => action === wanted).length;
      assert.equal(count("die"), 1, actions.join(", "));
      await engine.containers.removeContainer({ container: id });
    }
    // They are discarded behind the answer.
    await untilPasses(() => {
      assert.deepEqual(engine.images.snapshots(), []);
    });
  });
});
