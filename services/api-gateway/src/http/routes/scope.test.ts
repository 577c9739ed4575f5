import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { it } from "node:test";
import { allRoutes } from "./all.ts";

const page = path.resolve(import.meta.dirname, "../../../../../docs/scope.md");

it("docs/scope.md tells each route with its version and state, and no other", async () => {
  const text = await readFile(page, "utf8");
  const row = /^\| (GET|HEAD|POST|PUT|DELETE|OPTIONS) \| `([^`]+)` \| (1\.\d+)? ?\| ([a-z ]+) \|/gm;
  const documented = [...text.matchAll(row)].map(
    ([, method, route, since, state]) => `${method} ${route} ${since ?? ""} ${state}`,
  );
  const actual = allRoutes.map(
    ({ method, path: route, sinceMinor, scope }) =>
      `${method} ${route} ${sinceMinor > 24 ? `1.${String(sinceMinor)}` : ""} ${scope}`,
  );
  assert.deepEqual(documented.sort(), actual.sort());
});
