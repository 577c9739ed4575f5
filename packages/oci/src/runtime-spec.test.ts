import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseRuntimeProcess, parseRuntimeResources, parseRuntimeSpec } from "./runtime-spec.ts";

function refuses(text: string, pattern: RegExp): void {
  assert.throws(
    () => parseRuntimeSpec(text),
    (error: Error & { kind?: string }) =>
      error.kind === "invalid_argument" && pattern.test(error.message),
  );
}

describe("parseRuntimeSpec", () => {
  it("keeps what the specification names and passes over the rest", () => {
    const spec = parseRuntimeSpec('{"ociVersion":"1.2.0","hostname":"h","future":{"x":1}}');
    assert.deepEqual(spec, { ociVersion: "1.2.0", hostname: "h" });
  });

  it("takes null as absent, as Go writes empty lists", () => {
    assert.deepEqual(parseRuntimeSpec('{"ociVersion":"1.0.2","mounts":null}'), {
      ociVersion: "1.0.2",
    });
  });

  it("names the place of a wrong member", () => {
    refuses(
      '{"ociVersion":"1.2.0","process":{"cwd":"/","args":["a",1]}}',
      /^process\.args\[1\]: must be a string$/,
    );
    refuses(
      '{"ociVersion":"1.2.0","linux":{"namespaces":[{"type":"disk"}]}}',
      /linux\.namespaces\[0\]\.type/,
    );
    refuses("[]", /must be an object/);
  });

  it("refuses text that is no JSON, and another major version", () => {
    refuses("{", /not valid JSON/);
    refuses('{"ociVersion":"2.0.0"}', /ociVersion: 2.0.0 is not supported/);
  });

  it("keeps 64-bit numbers exactly", () => {
    const parsed = parseRuntimeProcess(
      '{"cwd":"/","rlimits":[{"type":"RLIMIT_CORE","soft":18446744073709551615,"hard":18446744073709551615}]}',
    );
    assert.equal(parsed.rlimits?.[0]?.soft, 18446744073709551615n);
  });

  it("refuses fractions where an integer belongs", () => {
    assert.throws(
      () => parseRuntimeResources('{"cpu":{"shares":1.5}}'),
      /resources\.cpu\.shares: must be an integer/,
    );
  });
});
