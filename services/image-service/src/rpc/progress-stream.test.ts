import assert from "node:assert/strict";
import { it } from "node:test";
import type { Progress } from "../domain/progress.ts";
import { streamProgress } from "./progress-stream.ts";

it("gives a slow reader every step, and of counting messages the newest", async () => {
  const found: Progress[] = [];
  for await (const each of streamProgress(async (emit) => {
    emit({ id: "a", status: "Pulling fs layer", detail: {} });
    for (let current = 1; current <= 1000; current++) {
      emit({ id: "a", status: "Downloading", detail: { current, total: 1000 } });
    }
    emit({ id: "a", status: "Download complete", detail: {} });
  })) {
    found.push(each);
  }
  assert.deepEqual(
    found.map(({ status, detail }) => [status, detail?.current]),
    [
      ["Pulling fs layer", undefined],
      ["Downloading", 1000],
      ["Download complete", undefined],
    ],
  );
});

it("ends with the use case's error, after its messages", async () => {
  const stream = streamProgress(async (emit) => {
    emit({ status: "first" });
    throw new Error("late");
  });
  assert.equal((await stream.next()).value?.status, "first");
  await assert.rejects(stream.next(), /late/);
});
