import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { openSerial } from "./serial.ts";

describe("serial", () => {
  it("begins at once when nothing runs", () => {
    const serial = openSerial();
    let begun = false;
    void serial.run(() => {
      begun = true;
      return Promise.resolve();
    });
    assert.equal(begun, true);
  });

  it("keeps the order, also behind a failure", async () => {
    const serial = openSerial();
    const seen: number[] = [];
    const gate = Promise.withResolvers<undefined>();
    const first = serial.run(() => gate.promise);
    const second = serial.run(() => {
      seen.push(2);
      return Promise.reject(new Error("second"));
    });
    const third = serial.run(() => {
      seen.push(3);
      return Promise.resolve("third");
    });
    assert.deepEqual(seen, []);
    gate.resolve(undefined);
    await first;
    await assert.rejects(second, /second/);
    assert.equal(await third, "third");
    assert.deepEqual(seen, [2, 3]);
    assert.equal(serial.busy(), false);
  });
});
