import assert from "node:assert/strict";
import { test } from "node:test";
import type { VertexState } from "../../ports/progress.ts";
import { type ProgressEvent, ProgressLog } from "./progress-log.ts";

const vertex: VertexState = {
  ...{ digest: "sha256:a", name: "pull", inputs: [], startedNano: 1n },
  ...{ completedNano: undefined, cached: false, error: "" },
};
const line = { name: "layer", current: 1, total: 2, startedNano: 1n, completedNano: undefined };

async function toldBy(log: ProgressLog): Promise<ProgressEvent[]> {
  log.end();
  const events: ProgressEvent[] = [];
  for await (const batch of log.batches(new AbortController().signal)) events.push(...batch);
  return events;
}

test("lines that are open when a vertex fails are complete before it is", async () => {
  const log = new ProgressLog();
  log.vertex(vertex);
  log.status(vertex.digest, { ...line, id: "done" });
  log.status(vertex.digest, { ...line, id: "open" });
  log.status(vertex.digest, { ...line, id: "done", completedNano: 2n });
  log.status("sha256:b", { ...line, id: "of another" });
  log.vertex({ ...vertex, completedNano: 3n, error: "no such layer" });
  assert.deepEqual((await toldBy(log)).slice(5), [
    {
      ...{ kind: "status", vertex: vertex.digest },
      status: { ...line, id: "open", completedNano: 3n },
    },
    { kind: "vertex", vertex: { ...vertex, completedNano: 3n, error: "no such layer" } },
  ]);
});
