import assert from "node:assert/strict";
import { it, mock } from "node:test";
import { PartialLines } from "./partial-lines.ts";

function recorder() {
  const seen: string[] = [];
  const lines = new PartialLines((vertex, stream, bytes) => {
    seen.push(`${vertex}${String(stream)} ${Buffer.from(bytes).toString()}`);
  });
  const log = (vertex: string, stream: 1 | 2, text: string): void => {
    lines.log(vertex, stream, Buffer.from(text));
  };
  return { seen, lines, log };
}

it("puts pieces of a line together, each vertex for itself", () => {
  const { seen, log } = recorder();
  log("a", 2, "sh: ");
  log("b", 1, "whole\n");
  log("a", 2, "not found\nnext");
  log("a", 2, " line\n");
  assert.deepEqual(seen, ["b1 whole\n", "a2 sh: not found\n", "a2 next line\n"]);
});

it("keeps the order of the streams of a vertex", () => {
  const { seen, log } = recorder();
  log("a", 1, "out");
  log("a", 2, "err\n");
  assert.deepEqual(seen, ["a1 out", "a2 err\n"]);
});

it("holds nothing back for long, nor when a vertex ends", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { seen, lines, log } = recorder();
  log("a", 1, "Password: ");
  mock.timers.tick(50);
  assert.deepEqual(seen, ["a1 Password: "]);
  log("a", 1, "end");
  log("b", 1, "other");
  lines.flush("a");
  lines.flushAll();
  mock.timers.tick(1000);
  assert.deepEqual(seen, ["a1 Password: ", "a1 end", "b1 other"]);
  mock.timers.reset();
});
