import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parsePointInTime } from "./point-in-time.ts";

const now = 1_700_000_000_000_000_000n;
const second = 1_000_000_000n;

describe("points in time", () => {
  const instant = (iso: string): bigint => BigInt(Date.parse(iso)) * 1_000_000n;
  for (const [text, expected] of [
    ["10m", now - 600n * second],
    ["1h30m", now - 5400n * second],
    ["1.5h", now - 5400n * second],
    [".5s", now - second / 2n],
    ["-10m", now + 600n * second],
    ["0", 0n],
    ["1600000000", 1_600_000_000n * second],
    ["+5", 5n * second],
    ["1600000000.5", 1_600_000_000_500_000_000n],
    ["1.1234567890", 1_123_456_789n],
    ["2020-09-13T12:26:40Z", 1_600_000_000n * second],
    ["2020-09-13T12:26:40.000000001Z", 1_600_000_000n * second + 1n],
    ["2020-09-13T14:26:40+02:00", 1_600_000_000n * second],
    ["2020-09-13T10:26-02:00", instant("2020-09-13T12:26:00Z")],
    ["2020-09-13T14+02:00", instant("2020-09-13T12:00:00Z")],
    ["2020-09-13Z", instant("2020-09-13T00:00:00Z")],
    ["2020-09-13+02:00", instant("2020-09-12T22:00:00Z")],
    ["2024-02-29Z", instant("2024-02-29T00:00:00Z")],
  ] as const) {
    it(`reads ${text}`, () => {
      assert.deepEqual(parsePointInTime(text, now), { nano: expected });
    });
  }

  for (const text of ["2020-09-13", "2020-09-13T10", "2020-09-13T10:11", "2020-09-13T10:11:12.5"]) {
    it(`reads ${text} as a local time`, () => {
      const full = `${text}${"2020-09-13T00:00:00".slice(text.length)}`.replace(
        /T10(:00)?$/,
        "T10:00",
      );
      const local = -new Date(Number(now / 1_000_000n)).getTimezoneOffset() * 60_000;
      const expected = BigInt(Date.parse(`${full}Z`) - local) * 1_000_000n;
      assert.deepEqual(parsePointInTime(text, now), { nano: expected });
    });
  }

  const unknown = (text: string): string =>
    `failed to parse value as time or duration: ${JSON.stringify(text)}`;
  // What a dockerd says to these.
  for (const [text, problem] of [
    ["", unknown("")],
    ["x", unknown("x")],
    ["1d", unknown("1d")],
    ["10 m", unknown("10 m")],
    ["9999999999999999999", unknown("9999999999999999999")],
    ["-1", 'parsing time "-1" as "2006-01-02": cannot parse "-1" as "2006"'],
    ["2026-13-01", 'parsing time "2026-13-01": month out of range'],
    ["2026-01-32", 'parsing time "2026-01-32": day out of range'],
    ["2026-02-30", 'parsing time "2026-02-30": day out of range'],
    ["2026-1-1", 'parsing time "2026-1-1" as "2006-01-02": cannot parse "1-1" as "01"'],
    ["2026-01-01x", 'parsing time "2026-01-01x": extra text: "x"'],
    ["2026-01-01T", 'parsing time "2026-01-01T" as "2006-01-02T15": cannot parse "" as "15"'],
    ["2026-01-01T25:00:00", 'parsing time "2026-01-01T25:00:00": hour out of range'],
    ["2026-01-01T10:61:00", 'parsing time "2026-01-01T10:61:00": minute out of range'],
    ["2026-01-01T10:00:00x", 'parsing time "2026-01-01T10:00:00x": extra text: "x"'],
    ["é-", 'parsing time "\\xc3\\xa9-" as "2006-01-02": cannot parse "\\xc3\\xa9-" as "2006"'],
  ] as const) {
    it(`says of ${JSON.stringify(text)}: ${problem}`, () => {
      assert.deepEqual(parsePointInTime(text, now), { problem });
    });
  }
});
