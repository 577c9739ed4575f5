import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { scanJson, wholeJsonProblem } from "./go-json.ts";

/** Asked of a dockerd 28.5. */
const problems: readonly (readonly [string, string])[] = [
  ["", "EOF"],
  [" \n", "EOF"],
  ["[", "unexpected EOF"],
  ['{"a"', "unexpected EOF"],
  ['{"a":', "unexpected EOF"],
  ['"abc', "unexpected EOF"],
  ["-", "unexpected EOF"],
  ["tru", "unexpected EOF"],
  ["[{},]", "invalid character ']' looking for beginning of value"],
  ['{"a":}', "invalid character '}' looking for beginning of value"],
  ["[}", "invalid character '}' looking for beginning of value"],
  ["['x']", "invalid character '\\'' looking for beginning of value"],
  ["{x}", "invalid character 'x' looking for beginning of object key string"],
  ['{"a":1,}', "invalid character '}' looking for beginning of object key string"],
  ['[{"a" 1}]', "invalid character '1' after object key"],
  ['{"a":1 "b"}', "invalid character '\"' after object key:value pair"],
  ["[1 2]", "invalid character '2' after array element"],
  ['["é" é]', "invalid character 'é' after array element"],
  ['["a\u0001"]', "invalid character '\\x01' in string"],
  ['["x\ty"]', "invalid character '\\t' in string"],
  ['"\\x"', "invalid escape sequence `\\x` in string"],
  ['"\\u12x"', 'invalid escape sequence `\\u12x"` in string'],
  ["-x", "invalid character 'x' in numeric literal"],
  ["1.x", "invalid character 'x' in numeric literal"],
  ["[1.]", "invalid character ']' in numeric literal"],
  ["1ex", "invalid character 'x' in numeric literal"],
  ["trux", "invalid character 'x' in literal true (expecting 'e')"],
  ["nulx", "invalid character 'x' in literal null (expecting 'l')"],
  ['{"a":tru}', "invalid character '}' in literal true (expecting 'e')"],
];

describe("Go's words for a text that is no JSON", () => {
  for (const [text, problem] of problems) {
    it(JSON.stringify(text), () => {
      assert.equal(scanJson(text).problem, problem);
    });
  }

  it("what follows the first value is a problem only where nothing may follow", () => {
    assert.deepEqual(scanJson("[{}] x"), { end: 4 });
    assert.equal(wholeJsonProblem("[{}] x"), "invalid character 'x' after top-level value");
    assert.equal(wholeJsonProblem("[{}]\n"), undefined);
    assert.equal(wholeJsonProblem("{"), "unexpected end of JSON input");
  });

  it("of any text agrees with the built-in parser, however deep it is nested", () => {
    const refuses = (text: string): boolean => {
      try {
        JSON.parse(text);
        return false;
      } catch {
        return true;
      }
    };
    const characters = "{}[]:,\"\\ -0159.eEtruefalsn'\u0001\t".split("");
    const piece = fc.constantFrom(...characters, "true", "null", '"a"');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const text = pieces.join("");
        assert.equal(wholeJsonProblem(text) !== undefined, refuses(text), text);
      }),
      { numRuns: 3000 },
    );
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        assert.equal(wholeJsonProblem(JSON.stringify(value, undefined, 1)), undefined);
      }),
    );
    assert.equal(scanJson("[".repeat(1_000_000)).problem, "unexpected EOF");
  });
});
