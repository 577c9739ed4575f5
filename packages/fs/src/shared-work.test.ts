import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { sharedWork } from "./shared-work.ts";

function counted(): { act: () => Promise<void>; runs: PromiseWithResolvers<void>[] } {
  const runs: PromiseWithResolvers<void>[] = [];
  const act = (): Promise<void> => {
    const run = Promise.withResolvers<void>();
    runs.push(run);
    return run.promise;
  };
  return { act, runs };
}

describe("sharedWork", () => {
  it("gives all that call during a run one run after it", async () => {
    const { act, runs } = counted();
    const work = sharedWork(act);
    const first = work();
    const later = [work(), work(), work()];
    assert.equal(runs.length, 1);
    runs[0]?.resolve();
    await first;
    await Promise.resolve();
    assert.equal(runs.length, 2);
    runs[1]?.resolve();
    await Promise.all(later);
    assert.equal(runs.length, 2);
  });

  it("fails those of a failed run and runs again for those after it", async () => {
    const { act, runs } = counted();
    const work = sharedWork(act);
    const first = work();
    const second = work();
    runs[0]?.reject(new Error("disk"));
    await assert.rejects(first, /disk/);
    await Promise.resolve();
    runs[1]?.resolve();
    await second;
    assert.equal(runs.length, 2);
  });

  it("is settled when the last of its runs has ended, also badly", async () => {
    const { act, runs } = counted();
    const work = sharedWork(act);
    const first = work();
    const second = assert.rejects(work(), /disk/);
    let isSettled = false;
    const settled = work.settled().then(() => {
      isSettled = true;
    });
    runs[0]?.resolve();
    await first;
    await Promise.resolve();
    assert.equal(runs.length, 2);
    assert.equal(isSettled, false);
    runs[1]?.reject(new Error("disk"));
    await Promise.all([second, settled]);
    await work.settled();
  });
});
