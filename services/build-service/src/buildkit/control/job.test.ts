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

for (const [when, isDriven] of [
  ["was refused", false],
  ["has ended", true],
] as const) {
  test(`of a build that ${when} the client hears by its Solve, not before that by another call`, async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const jobs = new Jobs();
    const job = jobs.begin("b", "", never);
    if (isDriven) jobs.drive(job, new Bridge(new ResultRefs()))[Symbol.dispose]();
    await job.end();
    let told = false;
    const late = jobs.driven("b", never).finally(() => {
      told = true;
    });
    t.mock.timers.tick(5999);
    await Promise.resolve();
    assert.equal(told, false);
    t.mock.timers.tick(1);
    await assert.rejects(late, isNotFound);
    assert.equal(await jobs.get("b", never), job);
  });
}

test("who waits for a build and leaves is let go at once", async () => {
  const jobs = new Jobs();
  const leaving = new AbortController();
  const waits = [jobs.get("b", leaving.signal), jobs.driven("b", leaving.signal)];
  leaving.abort();
  for (const wait of waits) await assert.rejects(wait, isNotFound);
});
