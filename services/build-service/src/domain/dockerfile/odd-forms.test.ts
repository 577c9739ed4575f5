/** Odd Dockerfiles, as BuildKit of dockerd 28.5 reads them. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { expandWord } from "./expand.ts";
import { goQuote } from "./go-quote.ts";
import { lexDockerfile } from "./lexer.ts";
import { grammarOf, parseDockerfile } from "./parse.ts";
import { DockerfileSyntaxError } from "./syntax-error.ts";

describe("heredocs", () => {
  const forms: readonly (readonly [line: string, rest: string, names: string])[] = [
    ["COPY <<'E O F' /f", "x\nE O F\n", "E O F"],
    ["COPY <<E'O'F /f", "x\nEOF\n", "EOF"],
    ["COPY <<\\EOF /f", "x\nEOF\n", "EOF $"],
    ['RUN echo "a <<EOF b"', "", ""],
    ["RUN echo it's <<EOF", "", ""],
    ["RUN echo it\\'s <<EOF", "x\nEOF\n", "EOF $"],
    ["RUN << EOF", "x\nEOF\n", "EOF $"],
    ["RUN 3<<  EOF cat", "x\nEOF\n", "EOF $"],
    ["RUN <<- EOF", "", ""],
    ["RUN cat \\<<EOF", "", ""],
    ["RUN cat <<A<<B", "", ""],
    ["RUN cat <<A <<'B'", "x\nA\nB\n", "A $,B"],
    ["RUN echo $((1 << 2))", "2))\n", "2)) $"],
    ['RUN ["sh","<<EOF"]', "", ""],
    ["ONBUILD RUN <<EOF", "EOF\n", "EOF $"],
  ];
  for (const [line, rest, names] of forms) {
    it(`${names === "" ? "are not seen" : "are found"} in ${line}`, () => {
      const { heredocs } = lexDockerfile(`${line}\n${rest}`).lines[0] ?? assert.fail();
      const found = heredocs.map(({ name, expand }) => `${name}${expand ? " $" : ""}`);
      assert.equal(found.join(","), names);
    });
  }
  it("keep the ends of their lines", () => {
    const [line] = lexDockerfile("COPY <<-EOF /f\r\n\ta\r\nb\r\n\tEOF\r\n").lines;
    assert.deepEqual(line?.heredocs, [
      { name: "EOF", expand: true, content: "a\r\nb\r\n", raw: "\ta\r\nb\r\n" },
    ]);
  });
  it("of triggers go with them", () => {
    const parsed = parseDockerfile("FROM a\nONBUILD RUN <<-EOF\n\tx\n\tEOF\n").instructions[1];
    assert.ok(parsed?.kind === "ONBUILD");
    assert.equal(parsed.trigger, "RUN <<-EOF\n\tx\nEOF");
  });
});

describe("what is wrong", () => {
  const errors: readonly (readonly [text: string, told: string, first: number, last?: number])[] = [
    ["# a\n\n# b\n", "file with no instructions", 3],
    ["FROM a\nRUN <<E\nx\n", "unterminated heredoc", 2, 3],
    ["# escape=`\n# escape=`\nFROM a\n", "only one escape parser directive can be used", 1],
    ["RUN x\nNOPE\n", "no build stage in current context", 1],
    [
      "FROM a\nNOPE\nCMD [1]\n",
      "when using JSON array syntax, arrays must be comprised of strings only",
      3,
    ],
    [
      `FROM a\nRUN ${"x".repeat(70_000)}\n`,
      "dockerfile line greater than max allowed size of 65535",
      1,
    ],
    [
      "hello x",
      "dockerfile parse error on line 1: unknown instruction: hello (did you mean shell?)",
      1,
    ],
    [
      "FROM a\nCOPY\u00a0b\u00a0/\n",
      "dockerfile parse error on line 2: unknown instruction: COPY\u00a0b\u00a0/",
      2,
    ],
    [
      "FROM --x=1 a b",
      "dockerfile parse error on line 1: FROM requires either one or three arguments",
      1,
    ],
    ["FROM a\nCMD --x y", "dockerfile parse error on line 2: unknown flag: --x", 2],
    [
      "FROM a\nRUN --security=insecure x",
      "dockerfile parse error on line 2: unknown flag: --security",
      2,
    ],
    [
      "FROM a\nRUN --netwrk=host x",
      "dockerfile parse error on line 2: unknown flag: --netwrk (did you mean network?)",
      2,
    ],
    [
      "FROM a\nRUN --Network=host x",
      "dockerfile parse error on line 2: unknown flag: --Network (did you mean network?)",
      2,
    ],
    [
      "FROM a\nRUN --mount x",
      "dockerfile parse error on line 2: missing a value on flag: --mount",
      2,
    ],
    [
      "FROM a\nRUN --mount= x",
      "dockerfile parse error on line 2: failed to parse csv mounts: EOF",
      2,
    ],
    [
      "FROM a\nRUN --mount=from=$X,target=/x y",
      "dockerfile parse error on line 2: 'from' doesn't support variable expansion, define alias stage instead",
      2,
    ],
    [
      "FROM a\nCOPY --link= a b",
      "dockerfile parse error on line 2: missing a value on flag: --link",
      2,
    ],
    [
      "FROM a\nCOPY --link=x a b",
      "dockerfile parse error on line 2: expecting boolean value for flag --link, not: x",
      2,
    ],
    [
      "FROM a\nCOPY a <<b\n1\nb\n",
      "dockerfile parse error on line 2: COPY cannot accept a heredoc as a destination",
      2,
      4,
    ],
    ["FROM a\nSHELL", "dockerfile parse error on line 2: SHELL requires at least one argument", 2],
    [
      "FROM a\nHEALTHCHECK foo x",
      'dockerfile parse error on line 2: Unknown type "FOO" in HEALTHCHECK (try CMD)',
      2,
    ],
    [
      "FROM a\nHEALTHCHECK CMD []",
      "dockerfile parse error on line 2: Missing command after HEALTHCHECK CMD",
      2,
    ],
    [
      "FROM a\nHEALTHCHECK --retries=99999999999 CMD x",
      'dockerfile parse error on line 2: strconv.ParseInt: parsing "99999999999": value out of range',
      2,
    ],
    [
      'FROM a\nONBUILD CMD ["a",1]',
      "when using JSON array syntax, arrays must be comprised of strings only",
      2,
    ],
  ];
  for (const [text, told, first, last = first] of errors) {
    it(`is told with its lines: ${told.slice(0, 90)}`, () => {
      assert.throws(
        () => parseDockerfile(text),
        (error: unknown) => {
          assert.ok(error instanceof DockerfileSyntaxError);
          assert.deepEqual([error.told, error.lines], [told, { first, last }]);
          return true;
        },
      );
    });
  }
});

describe("what is right", () => {
  const last = (text: string): unknown => {
    const {
      original: _original,
      lines: _lines,
      comments: _comments,
      ...rest
    } = parseDockerfile(`FROM a\n${text}\n`).instructions.at(-1) ?? assert.fail();
    return rest;
  };
  it("has words at blanks, whatever the quotes", () => {
    assert.deepEqual(last("VOLUME '/a b' /c"), { kind: "VOLUME", words: ["'/a", "b'", "/c"] });
    assert.deepEqual(last('VOLUME ["/a b"]'), { kind: "VOLUME", words: ["/a b"] });
  });
  it("escapes words with the file's character", () => {
    const [, env] = parseDockerfile('# escape=`\nFROM a\nENV A=a` b B="c`d"\n').instructions;
    assert.ok(env?.kind === "ENV");
    assert.deepEqual(env.pairs, [
      { key: "A", value: "a` b" },
      { key: "B", value: '"c`d"' },
    ]);
  });
  it("has flags without their quotes, and passes over those of ARG and STOPSIGNAL", () => {
    const copy = last('COPY --ch"own"="1:2" --from= a b') as Record<string, unknown>;
    assert.deepEqual([copy["chown"], copy["from"]], ["1:2", undefined]);
    const args = [{ name: "A", defaultValue: undefined }];
    assert.deepEqual(last("ARG --x=y A"), { kind: "ARG", args });
    assert.deepEqual(last("STOPSIGNAL --x 9"), { kind: "STOPSIGNAL", text: "9" });
  });
  it("knows flags of later frontends where one is asked for", () => {
    const text = "FROM a\nRUN --security=insecure x\nCOPY --parents a b\n";
    assert.equal(parseDockerfile(text, "later").instructions.length, 3);
    const later = ["docker/dockerfile:1", "docker/dockerfile:1.19-labs", "docker/dockerfile:1.20"];
    for (const each of later) assert.equal(grammarOf(each), "later", each);
    for (const each of ["", "docker/dockerfile:1.19"])
      assert.equal(grammarOf(each), "built in", each);
  });
  it("has no empty continuation at its end, unless it is one", () => {
    assert.deepEqual(parseDockerfile("FROM a\nRUN x \\\n").emptyContinuations, []);
    assert.deepEqual(parseDockerfile("FROM a\nRUN x \\\n\n").emptyContinuations, [3]);
  });
  it("takes an escape only from a directive that says one, and not behind a shebang", () => {
    assert.equal(lexDockerfile("# escape=\nFROM a").lines[0]?.escape, "\\");
    assert.equal(lexDockerfile("#!/x\n# escape=`\nFROM a").lines[0]?.escape, "\\");
    assert.equal(lexDockerfile(" # escape=`\nFROM a").lines[0]?.escape, "`");
  });
  it("has no directive for a comment", () => {
    const { lines } = lexDockerfile("# syntax=x\n# about\nFROM a\n# one\n#\n# two\nRUN x");
    assert.deepEqual(
      lines.map(({ comments }) => comments),
      [["about"], ["two"]],
    );
  });
});

describe("an expansion", () => {
  const values: Readonly<Record<string, string>> = { A: "foo", E: "", S: "*s" };
  const lookup = (name: string): string | undefined => values[name];
  const refused: readonly (readonly [word: string, reason: string])[] = [
    ["${A/o}", "syntax error: missing '/' in ${}"],
    ["${E:?}", "E: is not allowed to be empty"],
    ["${x?}", "x: is not allowed to be unset"],
    ["${A:=b}", "unsupported modifier (:=) in substitution"],
    ["${A:1}", "unsupported modifier (:1) in substitution"],
    ["${A^}", "unsupported modifier (^) in substitution"],
    ["${#A}", "unsupported modifier (A) in substitution"],
    ["${}", "syntax error: bad substitution"],
    ["${", "syntax error: missing '}'"],
    ["${A:", "syntax error: missing '}'"],
    ["${A#\\x}", "invalid pattern (\\x) in substitution: invalid escape '\\x'"],
  ];
  for (const [word, reason] of refused) {
    it(`is refused: ${word}`, () => {
      const message = `failed to process ${goQuote(word)}: ${reason}`;
      assert.throws(() => expandWord(word, lookup), { message });
    });
  }
  const made: readonly (readonly [word: string, text: string])[] = [
    ["${S#\\*}", "s"],
    ["${A/\\*/x}", "foo"],
    ["${A%%o*}", "f"],
    ["${A%o*}", "fo"],
    ["${A/?/x}", "xoo"],
    ["${é}$é", ""],
    ["${E?}", ""],
  ];
  for (const [word, text] of made) {
    it(`makes ${goQuote(text)} of ${word}`, () => {
      assert.equal(expandWord(word, lookup).text, text);
    });
  }
  it("names what is not set also where a modifier stands in, those inside first", () => {
    assert.deepEqual(expandWord("${a:-${b:-c}}", lookup).unset, ["b", "a"]);
  });
  it("quotes as Go does", () => {
    assert.equal(goQuote('a"\\\v\u0001é\u00a0'), '"a\\"\\\\\\v\\x01é\\u00a0"');
  });
});
