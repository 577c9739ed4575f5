import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { JsonNumber, type JsonValue, parseJson } from "./json-value.ts";

/** A parsed value as the built-in parser gives it. */
function plain(value: JsonValue): unknown {
  if (value instanceof JsonNumber) return Number(value.text);
  if (Array.isArray(value)) return value.map(plain);
  if (!(value instanceof Map)) return value;
  const object = Object.create(null) as Record<string, unknown>;
  for (const [key, each] of value) object[key] = plain(each);
  return object;
}

describe("parseJson", () => {
  it("agrees with the built-in parser on every document", () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        assert.deepEqual(JSON.stringify(plain(parseJson(text))), JSON.stringify(JSON.parse(text)));
      }),
      { numRuns: 500 },
    );
  });

  it("tells of a broken word as Go does", () => {
    for (const [text, problem] of [
      ["nonsense", "invalid character 'o' in literal null (expecting 'u')"],
      ["[trux]", "invalid character 'x' in literal true (expecting 'e')"],
      ["fals", "unexpected end of JSON input"],
      ["words", "invalid character 'w' looking for beginning of value"],
    ] as const) {
      assert.throws(() => parseJson(text), { message: `invalid JSON: ${problem}` });
    }
  });

  it("refuses what the built-in parser refuses, and nothing else gets out", () => {
    const texts = fc.oneof(
      fc.string(),
      fc
        .array(
          fc.constantFrom(
            "{",
            "}",
            "[",
            "]",
            '"',
            ":",
            ",",
            "1",
            "-",
            "e",
            ".",
            "\\",
            "u",
            "null",
            "true",
            " ",
          ),
        )
        .map((parts) => parts.join("")),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const ours = outcome(() => plain(parseJson(text)));
        const theirs = outcome(() => JSON.parse(text) as unknown);
        assert.equal(ours.ok, theirs.ok, `${JSON.stringify(text)} ${String(ours.message)}`);
        if (!ours.ok)
          assert.match(String(ours.message), /^(invalid JSON: |unexpected content after JSON)/);
      }),
      { numRuns: 3000 },
    );
  });

  it("keeps every digit of an integer", () => {
    const value = parseJson("9223372036854775807");
    assert.ok(value instanceof JsonNumber);
    assert.equal(value.text, "9223372036854775807");
  });

  it("bounds depth and number of values", () => {
    assert.throws(() => parseJson("[".repeat(100_000)), /nested too deeply/);
    assert.doesNotThrow(() => parseJson(`[${"{},".repeat(5 * 65_535)}1]`));
    assert.throws(() => parseJson(`[${"1,".repeat(1_000_000)}1]`), /too many values/);
  });

  it("refuses a key given twice, and content after the document", () => {
    assert.throws(() => parseJson('{"a":1,"a":2}'), /duplicate key "a"/);
    for (const stream of [true, false]) {
      assert.throws(
        () => parseJson("{} {}", { stream }),
        /^EngineError: unexpected content after JSON$/,
      );
    }
    assert.throws(() => parseJson("{}}"), /^EngineError: unexpected content after JSON$/);
    assert.deepEqual(parseJson("[]]", { stream: true }), []);
  });

  it("takes __proto__ as a key like any other", () => {
    const value = parseJson('{"__proto__":{"polluted":true}}');
    assert.ok(value instanceof Map);
    assert.ok(value.has("__proto__"));
    assert.equal(({} as Record<string, unknown>)["polluted"], undefined);
  });
});

function outcome(run: () => unknown): { ok: boolean; message?: string } {
  try {
    run();
    return { ok: true };
  } catch (error) {
    return { ok: false, message: (error as Error).message };
  }
}
