import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isStopSignal, signalNumber } from "./signal-names.ts";

describe("names of signals", () => {
  it("are taken with and without SIG, in any case", () => {
    const numbers = ["TERM", "sigterm", "SigKill", "CLD", "POLL", "IOT", "STKFLT"].map(
      signalNumber,
    );
    assert.deepEqual(numbers, [15, 15, 9, 17, 29, 6, 16]);
  });
  it("reach the real-time signals from both ends, without a gap or an overlap", () => {
    const fromFirst = Array.from({ length: 15 }, (_, n) => signalNumber(`RTMIN+${String(n + 1)}`));
    const fromLast = Array.from({ length: 14 }, (_, n) => signalNumber(`RTMAX-${String(14 - n)}`));
    assert.deepEqual(
      [signalNumber("RTMIN"), ...fromFirst, ...fromLast, signalNumber("SIGRTMAX")],
      Array.from({ length: 31 }, (_, n) => 34 + n),
    );
  });
  it("are no others", () => {
    for (const name of ["", "SIG", "15", "NOPE", "RTMIN+0", "RTMIN+16", "RTMIN+03", "RTMAX-15"])
      assert.equal(signalNumber(name), undefined, name);
  });
});

describe("STOPSIGNAL", () => {
  it("takes every number but 0", () => {
    for (const text of ["9", "-1", "+7", "999"]) assert.ok(isStopSignal(text), text);
    for (const text of ["0", "-0", "00", "1.5"]) assert.ok(!isStopSignal(text), text);
  });
  it("takes the names of signals", () => {
    for (const text of ["QUIT", "SIGRTMIN+3", "cld"]) assert.ok(isStopSignal(text), text);
    for (const text of ["", "NOPE", "RTMIN+16"]) assert.ok(!isStopSignal(text), text);
  });
});
