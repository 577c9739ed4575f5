import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SharedWork } from "./shared-work.ts";

const never = new AbortController().signal;

describe("work that several want", () => {
  it("is done once, and all hear all of it", async () => {
    const work = new SharedWork<number, string>();
    const { promise, resolve } = Promise.withResolvers<number>();
    let runs = 0;
    const heard: string[][] = [[], []];
    const join = (index: number) =>
      work.join(
        "key",
        never,
        (event) => heard[index]?.push(event),
        async (_signal, tell) => {
          runs += 1;
          tell("early");
          const value = await promise;
          tell("late");
          return value;
        },
      );
    const results = [join(0), join(1)];
    resolve(7);
    assert.deepEqual(await Promise.all(results), [7, 7]);
    assert.equal(runs, 1);
    assert.deepEqual(heard, [
      ["early", "late"],
      ["early", "late"],
    ]);
  });
  it("goes on while one still wants it, and is aborted with the last", async () => {
    const work = new SharedWork<never, string>();
    let aborted = false;
    const [one, other] = [new AbortController(), new AbortController()];
    const join = (signal: AbortSignal) =>
      work.join(
        "key",
        signal,
        () => undefined,
        (inner) => {
          return new Promise<never>((_resolve, reject) => {
            inner.addEventListener("abort", () => {
              aborted = true;
              reject(inner.reason as Error);
            });
          });
        },
      );
    const [first, second] = [join(one.signal), join(other.signal)];
    one.abort();
    await assert.rejects(first, { name: "AbortError" });
    assert.equal(aborted, false);
    other.abort();
    await assert.rejects(second, { name: "AbortError" });
    assert.equal(aborted, true);
  });
  it("is begun anew after it failed", async () => {
    const work = new SharedWork<number, string>();
    const fail = () => Promise.reject(new Error("once"));
    await assert.rejects(
      work.join("key", never, () => undefined, fail),
      /once/,
    );
    assert.equal(
      await work.join(
        "key",
        never,
        () => undefined,
        () => Promise.resolve(1),
      ),
      1,
    );
  });
});
