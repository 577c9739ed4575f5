import assert from "node:assert/strict";
import { it } from "node:test";
import { createSlots } from "./slots.ts";

it("gives slots in order of asking, and forgets those who gave up", async () => {
  const slots = createSlots(1);
  const never = new AbortController().signal;
  const first = await slots.take(never);
  const order: string[] = [];
  const impatient = new AbortController();
  const gone = assert.rejects(slots.take(impatient.signal), { kind: "canceled" });
  const second = slots.take(never).then((slot) => {
    order.push("second");
    return slot;
  });
  const third = slots.take(never).then((slot) => {
    order.push("third");
    return slot;
  });
  impatient.abort();
  await gone;
  assert.equal(slots.free, 0);
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  (await second)[Symbol.dispose]();
  (await third)[Symbol.dispose]();
  assert.deepEqual(order, ["second", "third"]);
  assert.equal(slots.free, 1);
});
