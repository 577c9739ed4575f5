import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { openClock } from "./clock.ts";

/** Clocks that a test moves. */
function fakeClocks() {
  const now = { wallMs: 1_800_000_000_000, monotonicMs: 1000 };
  return {
    now,
    read: openClock({ wallMs: () => Math.trunc(now.wallMs), monotonicMs: () => now.monotonicMs }),
    pass(ms: number) {
      now.wallMs += ms;
      now.monotonicMs += ms;
    },
  };
}

describe("the clock of events", () => {
  it("has digits below the wall clock's milliseconds", () => {
    const clocks = fakeClocks();
    const before = clocks.read();
    clocks.pass(0.25);
    assert.equal(clocks.read() - before, 250_000n);
  });

  for (const [what, stepMs] of [
    ["ahead", 3_600_000],
    ["back", -3_600_000],
  ] as const) {
    it(`follows when the wall clock is set ${what}`, () => {
      const clocks = fakeClocks();
      clocks.pass(10_000);
      clocks.now.wallMs += stepMs;
      assert.equal(clocks.read(), BigInt(clocks.now.wallMs) * 1_000_000n);
      clocks.pass(1.5);
      assert.equal(clocks.read(), BigInt(clocks.now.wallMs * 1000) * 1000n);
    });
  }

  it("does not go back while the wall clock only runs a little apart", () => {
    const clocks = fakeClocks();
    const before = clocks.read();
    clocks.now.wallMs -= 10;
    clocks.now.monotonicMs += 1;
    assert.ok(clocks.read() > before);
  });

  it("stays within the wall clock's millisecond, however that runs apart, and never goes back", () => {
    for (const speed of [1.004, 0.996]) {
      const clocks = fakeClocks();
      let before = clocks.read();
      for (let round = 0; round < 1000; round++) {
        clocks.now.wallMs += 7.3 * speed;
        clocks.now.monotonicMs += 7.3;
        const read = clocks.read();
        const wallNano = BigInt(Math.trunc(clocks.now.wallMs)) * 1_000_000n;
        assert.ok(read >= wallNano, `${String(read)} before ${String(wallNano)}`);
        assert.ok(read <= wallNano + 1_000_000n, `${String(read)} after ${String(wallNano)}`);
        assert.ok(read > before);
        before = read;
      }
    }
  });

  it("comes back to a wall clock that was set back a little", () => {
    const clocks = fakeClocks();
    clocks.read();
    clocks.now.wallMs -= 10;
    for (let round = 0; round < 25; round++) {
      clocks.pass(1);
      clocks.read();
    }
    assert.ok(clocks.read() <= BigInt(Math.trunc(clocks.now.wallMs) + 1) * 1_000_000n);
  });
});
