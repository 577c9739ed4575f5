import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseUntil } from "./until-time.ts";

const now = 1_700_000_000_000_000_000n;

describe("until", () => {
  for (const [text, expected] of [
    ["10m", now - 600_000_000_000n],
    ["1h30m", now - 5_400_000_000_000n],
    ["1.5h", now - 5_400_000_000_000n],
    ["1600000000", 1_600_000_000_000_000_000n],
    ["1600000000.5", 1_600_000_000_500_000_000n],
    ["2020-09-13T12:26:40Z", 1_600_000_000_000_000_000n],
    ["2020-09-13T14:26:40+02:00", 1_600_000_000_000_000_000n],
  ] as const) {
    it(`reads ${text}`, () => {
      assert.equal(parseUntil(text, now), expected);
    });
  }

  for (const text of ["", "x", "-1m", "10 m", "2020-13-01"]) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      assert.throws(() => parseUntil(text, now), { kind: "invalid_argument" });
    });
  }
});
