import assert from "node:assert/strict";
import { test } from "node:test";
import { hasKind } from "@gantry/errors";
import { Bridge, ResultRefs } from "./bridge.ts";
import { Jobs } from "./job.ts";

const never = new AbortController().signal;
const isNotFound = (error: unknown): boolean => hasKind(error, "not_found");

test("a client that is early waits for its build, and until it may drive it", async () => {
  const jobs = new Jobs();
  const [known, driven] = [jobs.get("b", never), jobs.driven("b", never)];
  const job = jobs.begin("b", "", never);
  assert.equal(await known, job);
  using bridge = new Bridge(new ResultRefs());
  using _driven = jobs.drive(job, bridge);
  assert.deepEqual(await driven, { job, bridge });
});

const refusal = new Error("refused");

for (const [when, isDriven, failure] of [
  ["was refused", false, refusal],
  ["has failed", true, refusal],
  ["is done", true, undefined],
] as const) {
  test(`of a build that ${when} the client hears by its Solve, and then by another call`, async () => {
    const jobs = new Jobs();
    const job = jobs.begin("b", "", never);
    if (isDriven) jobs.drive(job, new Bridge(new ResultRefs()))[Symbol.dispose]();
    const told: string[] = [];
    const other = jobs.driven("b", never).catch((error: unknown) => {
      told.push("other call");
      return error;
    });
    await job.end(failure);
    jobs.forget(job);
    // As long as the Solve may take on its way to the client.
    await new Promise(setImmediate);
    told.push("Solve");
    const error = await other;
    assert.deepEqual(told, ["Solve", "other call"]);
    if (failure === undefined) assert.ok(isNotFound(error));
    else assert.equal(error, failure);
    assert.equal(await jobs.get("b", never), job);
  });
}

test("a build that does not come is not waited for for ever", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const waits = [new Jobs().get("b", never), new Jobs().driven("b", never)];
  t.mock.timers.tick(6000);
  for (const wait of waits) await assert.rejects(wait, isNotFound);
});

test("who waits for a build and leaves is let go at once", async () => {
  const jobs = new Jobs();
  const leaving = new AbortController();
  const waits = [jobs.get("b", leaving.signal), jobs.driven("b", leaving.signal)];
  leaving.abort();
  for (const wait of waits) await assert.rejects(wait, isNotFound);
});
