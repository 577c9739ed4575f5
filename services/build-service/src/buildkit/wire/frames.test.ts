import assert from "node:assert/strict";
import { test } from "node:test";
import { FrameReader, frame } from "./frames.ts";

const messages = ["", "a", "b".repeat(300), "c"].map((text) => Buffer.from(text));
const stream = Buffer.concat(messages.map(frame));

test("gives the same messages however the bytes are cut", () => {
  for (const size of [1, 2, 5, 7, 64, stream.length]) {
    const reader = new FrameReader(1000);
    const got: Buffer[] = [];
    for (let at = 0; at < stream.length; at += size) {
      reader.push(stream.subarray(at, at + size));
      for (let next = reader.next(); next !== undefined; next = reader.next()) got.push(next);
    }
    assert.deepEqual(got, messages, `pieces of ${String(size)}`);
    assert.ok(reader.isEmpty);
  }
});

test("refuses messages that are too long before they come, and compressed ones", () => {
  const long = new FrameReader(10);
  long.push(frame(Buffer.alloc(11)).subarray(0, 5));
  assert.throws(() => long.next(), /message of 11 bytes is too long/);
  const compressed = new FrameReader(10);
  compressed.push(Buffer.from([1, 0, 0, 0, 0]));
  assert.throws(() => compressed.next(), /compressed messages are not accepted/);
});
