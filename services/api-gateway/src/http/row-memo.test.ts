import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RowMemo } from "./row-memo.ts";

function counting(): { readonly memo: RowMemo<{ text: string }>; readonly made: string[] } {
  const made: string[] = [];
  const memo = new RowMemo((bytes, version) => {
    const text = `${String(version)} ${Buffer.from(bytes).toString("latin1").slice(0, 8)}`;
    made.push(text);
    return { text };
  });
  return { memo, made };
}

describe("a memo of rows", () => {
  it("makes equal bytes once for each version", () => {
    const { memo, made } = counting();
    const first = memo.row(Buffer.from("a\xff\x00b", "latin1"), 52);
    assert.equal(memo.row(Buffer.from("a\xff\x00b", "latin1"), 52), first);
    assert.notEqual(memo.row(Buffer.from("a\xff\x00b", "latin1"), 51), first);
    memo.row(Buffer.from("a\xff\x00c", "latin1"), 52);
    assert.deepEqual(made, ["52 a\xff\x00b", "51 a\xff\x00b", "52 a\xff\x00c"]);
  });

  it("keeps what is asked for and forgets what isn't", () => {
    const { memo, made } = counting();
    const large = (name: string): Buffer =>
      Buffer.concat([Buffer.from(name), Buffer.alloc(2 ** 20)]);
    memo.row(Buffer.from("lost"), 52);
    for (let round = 0; round < 12; round += 1) {
      memo.row(Buffer.from("kept"), 52);
      memo.row(large(String(round)), 52);
    }
    assert.equal(made.filter((text) => text === "52 kept").length, 1);
    memo.row(Buffer.from("lost"), 52);
    assert.equal(made.filter((text) => text === "52 lost").length, 2);
  });
});
