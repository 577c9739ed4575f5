import assert from "node:assert/strict";
import { test } from "node:test";
import { csvFields } from "./csv.ts";

test("reads fields as Go's csv writes them", () => {
  const cases: readonly (readonly [string, readonly string[]])[] = [
    ["", []],
    ["a", ["a"]],
    ["a,,b", ["a", "", "b"]],
    ['"a,b",c', ["a,b", "c"]],
    ['"say ""hi""",x', ['say "hi"', "x"]],
    ['a"b,c', ['a"b', "c"]],
  ];
  for (const [text, fields] of cases) assert.deepEqual(csvFields(text), fields, text);
});
