import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readInlineCache, writeInlineCache } from "./cache-config.ts";

const key = (letter: string): string => letter.repeat(64);
const result = {
  ...{ key: key("a"), keys: [key("a"), key("b")] },
  ...{ layer: 1, createdNano: 1_500_000_000_000_000_000n },
};

describe("a cache in an image's config", () => {
  it("comes back as it was written", () => {
    const text = writeInlineCache(["sha256:1", "sha256:2"], [result]);
    assert.deepEqual(readInlineCache(text, 2), [result]);
  });

  it("has BuildKit's names", () => {
    const text = writeInlineCache(["sha256:1", "sha256:2"], [{ ...result, keys: [key("a")] }]);
    assert.deepEqual(JSON.parse(Buffer.from(text, "base64").toString("utf8")), {
      layers: [
        { blob: "sha256:1", parent: -1 },
        { blob: "sha256:2", parent: 0 },
      ],
      records: [
        {
          digest: `sha256:${key("a")}`,
          layers: [{ layer: 1, createdAt: "2017-07-14T02:40:00.000Z" }],
        },
      ],
    });
  });

  it("gives nothing of records that name layers which aren't there, or are of another form", () => {
    const records = [
      { digest: `sha256:${key("a")}`, layers: [{ layer: 2 }] },
      { digest: `sha256:${key("a")}`, layers: [{ layer: -1 }] },
      { digest: `sha256:${key("a")}`, layers: [{ layer: "0" }] },
      { digest: "sha256:short", layers: [{ layer: 0 }] },
      { digest: `sha256:${key("a")}`, layers: [{ layer: 0 }], "gantry.of": 1 },
      { digest: `sha256:${key("a")}` },
      null,
    ];
    const text = Buffer.from(JSON.stringify({ records })).toString("base64");
    assert.deepEqual(readInlineCache(text, 2), []);
  });

  it("is refused when it is no cache at all", () => {
    for (const text of ["", "[]", "{", '{"records":1}']) {
      assert.throws(() => readInlineCache(Buffer.from(text).toString("base64"), 1), SyntaxError);
    }
  });
});
