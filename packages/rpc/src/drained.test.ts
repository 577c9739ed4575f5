import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { describe, it } from "node:test";
import { drained } from "./drained.ts";

describe("waiting for a reader", () => {
  const full = (): PassThrough => {
    const stream = new PassThrough({ highWaterMark: 1 });
    assert.equal(stream.write("more than one"), false);
    return stream;
  };
  const listeners = (stream: PassThrough): number[] =>
    ["drain", "close"].map((event) => stream.listenerCount(event));

  it("ends when it has read, and leaves no listener", async () => {
    const stream = full();
    const before = listeners(stream);
    const waiting = drained(stream);
    stream.resume();
    await waiting;
    assert.equal(stream.destroyed, false);
    assert.deepEqual(listeners(stream), before);
  });
  it("ends when the stream is gone", async () => {
    const stream = full();
    const waiting = drained(stream);
    stream.destroy();
    await waiting;
  });
});
