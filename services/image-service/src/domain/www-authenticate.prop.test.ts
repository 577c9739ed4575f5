import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { parseChallenges } from "./www-authenticate.ts";

const read = (header: string) =>
  parseChallenges(header).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]);

describe("parseChallenges", () => {
  it("reads schemes with quoted and bare values", () => {
    assert.deepEqual(
      read('Bearer realm="https://a/t",service="s",scope="repository:x:pull,push"'),
      [["bearer", { realm: "https://a/t", service: "s", scope: "repository:x:pull,push" }]],
    );
    assert.deepEqual(read('Basic realm=x, Bearer realm="a \\" b"'), [
      ["basic", { realm: "x" }],
      ["bearer", { realm: 'a " b' }],
    ]);
    assert.deepEqual(read("Negotiate"), [["negotiate", {}]]);
    assert.deepEqual(read(""), []);
    assert.deepEqual(read('Bearer realm="unfinished'), [["bearer", { realm: "" }]]);
  });

  it("ends, and does not throw, whatever the header", () => {
    const piece = fc.constantFrom("Bearer", " ", ",", "=", '"', "\\", "realm", "x", "\t", "é");
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(piece).map((each) => each.join("")),
        ),
        (header) => {
          assert.ok(parseChallenges(header).length <= header.length);
        },
      ),
      { numRuns: 2000 },
    );
  });
});
