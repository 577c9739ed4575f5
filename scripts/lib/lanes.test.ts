import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inLanes } from "./lanes.ts";

/** Work that lasts until it is told to end, and what was under way together. */
class Work {
  readonly begun: string[] = [];
  readonly #ends = new Map<string, PromiseWithResolvers<void>>();

  readonly run = async (item: string): Promise<void> => {
    this.begun.push(item);
    const end = Promise.withResolvers<void>();
    this.#ends.set(item, end);
    await end.promise;
  };

  async end(item: string, error?: Error): Promise<void> {
    const end = this.#ends.get(item);
    assert.ok(end !== undefined, `${item} has not begun`);
    if (error === undefined) end.resolve();
    else end.reject(error);
    // What follows is only microtasks.
    await new Promise(setImmediate);
  }
}

/** `a1` and `a2` share a room; a single letter has none. */
const roomOf = (item: string): string | undefined => (item.length > 1 ? item[0] : undefined);

describe("lanes", () => {
  it("begin in order, as many as there are lanes", async () => {
    const work = new Work();
    const all = inLanes(["a", "b", "c"], { lanes: 2, roomOf }, work.run);
    assert.deepEqual(work.begun, ["a", "b"]);
    await work.end("b");
    assert.deepEqual(work.begun, ["a", "b", "c"]);
    await work.end("a");
    await work.end("c");
    await all;
  });

  it("leave out what waits for a room, and take it when the room is free", async () => {
    const work = new Work();
    const all = inLanes(["a1", "a2", "b", "a3"], { lanes: 2, roomOf }, work.run);
    assert.deepEqual(work.begun, ["a1", "b"]);
    await work.end("b");
    assert.deepEqual(work.begun, ["a1", "b"]);
    await work.end("a1");
    await work.end("a2");
    assert.deepEqual(work.begun, ["a1", "b", "a2", "a3"]);
    await work.end("a3");
    await all;
  });

  it("after an error finish what has begun and begin nothing more", async () => {
    const work = new Work();
    const all = inLanes(["a", "b", "c"], { lanes: 2, roomOf }, work.run);
    const failed = assert.rejects(all, /^Error: broken$/);
    await work.end("a", new Error("broken"));
    await work.end("b");
    await failed;
    assert.deepEqual(work.begun, ["a", "b"]);
  });

  it("do not lose an error that comes together with an end", async () => {
    const work = new Work();
    const all = inLanes(["a", "b", "c"], { lanes: 2, roomOf }, work.run);
    const failed = assert.rejects(all, /^Error: broken$/);
    await Promise.all([work.end("a"), work.end("b", new Error("broken"))]);
    await failed;
    assert.deepEqual(work.begun, ["a", "b"]);
  });

  it("have nothing to do for no items", async () => {
    await inLanes([], { lanes: 2, roomOf }, () => Promise.reject(new Error("not called")));
  });
});
