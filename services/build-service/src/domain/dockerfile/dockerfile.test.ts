import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { IgnoreRules } from "./dockerignore.ts";
import { expandToWords, expandWord } from "./expand.ts";
import { lexDockerfile } from "./lexer.ts";
import { parseDockerfile } from "./parse.ts";
import { DockerfileSyntaxError } from "./syntax-error.ts";

describe("lexDockerfile", () => {
  it("reads directives only at the top, with keys in any case", () => {
    const { directives } = lexDockerfile(
      "# Syntax = docker/dockerfile:1\n# escape=`\nFROM a\n# check=skip=all\n",
    );
    assert.deepEqual(
      [...directives],
      [
        ["syntax", "docker/dockerfile:1"],
        ["escape", "`"],
      ],
    );
  });
  it("refuses a directive given twice", () => {
    assert.throws(
      () => lexDockerfile("# escape=`\n# escape=`\nFROM a"),
      /only one escape parser directive can be used/,
    );
  });
  it("joins continuations over comments and empty lines", () => {
    const { lines } = lexDockerfile("FROM a\nRUN one \\\n# comment\n\n  two \\\n three\nCMD x");
    assert.equal(lines[1]?.rest, "one   two  three");
    assert.deepEqual(lines[1]?.lines, { first: 2, last: 6 });
    assert.equal(lines[2]?.keyword, "CMD");
  });
  it("takes an escaped escape character as it is", () => {
    assert.equal(lexDockerfile("RUN echo \\\\\nCMD x").lines.length, 2);
  });
  it("collects heredocs, several of one instruction in order", () => {
    const { lines } = lexDockerfile("COPY <<one <<-'two' /d/\nA $x\none\n\tB\n\ttwo\nRUN true");
    assert.deepEqual(lines[0]?.heredocs, [
      { name: "one", expand: true, content: "A $x\n", raw: "A $x\n" },
      { name: "two", expand: false, content: "B\n", raw: "\tB\n" },
    ]);
    assert.equal(lines[1]?.keyword, "RUN");
  });
  it("knows no heredocs outside of RUN, COPY and ADD", () => {
    assert.deepEqual(lexDockerfile("CMD cat <<EOF\nRUN x").lines[0]?.heredocs, []);
  });
  it("refuses a heredoc without end", () => {
    assert.throws(() => lexDockerfile("RUN <<EOF\nx"), /unterminated heredoc/);
  });
  it("refuses empty files and files without instructions", () => {
    assert.throws(() => lexDockerfile(""), /the Dockerfile cannot be empty/);
    assert.throws(() => lexDockerfile("# nothing\n"), /file with no instructions/);
  });
});

const values: Readonly<Record<string, string>> = { x: "abcabc", empty: "", path: "/a/b/c.tar.gz" };
const lookup = (name: string): string | undefined => values[name];

describe("expandWord", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["$x", "abcabc"],
    ["${x}y", "abcabcy"],
    ["$nope.", "."],
    ["${nope:-w}", "w"],
    ["${empty-w}", ""],
    ["${empty:-w$x}", "wabcabc"],
    ["${x:+set}", "set"],
    ["${empty+set}", "set"],
    ["${empty:+set}", ""],
    ["'$x'", "$x"],
    ['"$x \\" \\n"', 'abcabc " \\n'],
    ["\\$x", "$x"],
    ["${x#*b}", "cabc"],
    ["${x##*b}", "c"],
    ["${x%b*}", "abca"],
    ["${x%%b*}", "a"],
    ["${x/b/_}", "a_cabc"],
    ["${x//b/_}", "a_ca_c"],
    ["${path##*/}", "c.tar.gz"],
    ["${path%%.*}", "/a/b/c"],
    ["$", "$"],
  ];
  for (const [word, text] of cases) {
    it(`makes ${JSON.stringify(text)} of ${word}`, () => {
      assert.equal(expandWord(word, lookup).text, text);
    });
  }
  it("names variables that are not set", () => {
    assert.deepEqual(expandWord("$a ${b} $x", lookup).unset, ["a", "b"]);
  });
  it("refuses what :? requires", () => {
    assert.throws(() => expandWord("${nope:?must be given}", lookup), /nope: must be given/);
  });
  for (const bad of ["${x", "'x", '"x', "${x~y}", "${}"]) {
    it(`refuses ${bad}`, () => {
      assert.throws(() => expandWord(bad, lookup));
    });
  }
  it("takes quotes of heredoc bodies as they are", () => {
    assert.equal(expandWord("'$x' \\n \\$x", lookup, { noQuotes: true }).text, "'abcabc' n $x");
  });
  it("splits words at blanks outside of quotes", () => {
    assert.deepEqual(expandToWords('a "b c" $x', lookup), ["a", "b c", "abcabc"]);
  });
});

describe("IgnoreRules", () => {
  const rules = new IgnoreRules(
    "# comment\n/node_modules\n**/*.log\n!keep.log\ndocs/*\n!docs/README.md\n*/temp*\nsecret[0-9]\n",
  );
  const ignored = [
    "node_modules",
    "node_modules/a/b",
    "x.log",
    "a/b/x.log",
    "docs/a.md",
    "a/temporary",
    "secret1",
  ];
  const kept = ["src/node_modules", "keep.log", "docs/README.md", "temp", "secretx"];
  for (const path of ignored)
    it(`leaves out ${path}`, () => assert.equal(rules.ignores(path), true));
  for (const path of kept) it(`keeps ${path}`, () => assert.equal(rules.ignores(path), false));
});

describe("parseDockerfile", () => {
  const one = (text: string): unknown => {
    const {
      lines: _lines,
      original: _original,
      comments: _comments,
      ...rest
    } = parseDockerfile(text.startsWith("FROM") ? text : `FROM a\n${text}`).instructions.at(-1) ??
    assert.fail();
    return rest;
  };
  it("understands FROM with platform and name", () => {
    assert.deepEqual(one("FROM --platform=$BUILDPLATFORM alpine:3 AS Base"), {
      kind: "FROM",
      image: "alpine:3",
      platform: "$BUILDPLATFORM",
      as: "base",
    });
  });
  it("tells exec form from shell form", () => {
    assert.deepEqual(one('CMD ["a", "b c"]'), {
      kind: "CMD",
      command: { form: "exec", args: ["a", "b c"] },
    });
    assert.deepEqual(one("CMD [a, b]"), {
      kind: "CMD",
      command: { form: "shell", text: "[a, b]" },
    });
  });
  it("understands COPY with flags, and parts its words whatever the quotes", () => {
    const copy = one(
      'COPY --from=build --chown=1:2 --exclude=*.md --exclude=x "a b" c /d/',
    ) as Record<string, unknown>;
    assert.deepEqual(
      [copy["sources"], copy["destination"], copy["from"], copy["chown"], copy["exclude"]],
      [['"a', 'b"', "c"], "/d/", "build", "1:2", ["*.md", "x"]],
    );
  });
  it("understands both forms of ENV", () => {
    assert.deepEqual(one('ENV a=1 b="2 3"'), {
      kind: "ENV",
      pairs: [
        { key: "a", value: "1" },
        { key: "b", value: '"2 3"' },
      ],
    });
    assert.deepEqual(one("ENV a 1 2"), { kind: "ENV", pairs: [{ key: "a", value: "1 2" }] });
  });
  it("understands HEALTHCHECK with Go durations", () => {
    const check = one("HEALTHCHECK --interval=1m30s --retries=2 CMD true") as Record<
      string,
      unknown
    >;
    assert.deepEqual(
      [check["intervalNs"], check["retries"], check["command"]],
      [90e9, 2, { form: "shell", text: "true" }],
    );
  });
  const errors: readonly (readonly [string, RegExp])[] = [
    ["FRM a", /unknown instruction: FRM \(did you mean FROM\?\)/],
    ["FROM a b", /FROM requires either one or three arguments/],
    ["COPY a", /COPY requires at least two arguments, but only one was provided/],
    ["COPY --form=x a b", /unknown flag: --form \(did you mean from\?\)/],
    ["SHELL sh -c", /SHELL requires the arguments to be in JSON form/],
    ["ONBUILD FROM x", /FROM isn't allowed as an ONBUILD trigger/],
    ["HEALTHCHECK SOMETIMES x", /Unknown type "SOMETIMES" in HEALTHCHECK/],
    ["ENV", /ENV requires at least one argument/],
  ];
  for (const [text, message] of errors) {
    it(`refuses ${text}`, () => {
      assert.throws(
        () => parseDockerfile(text),
        (error: unknown) =>
          error instanceof DockerfileSyntaxError &&
          message.test(error.message) &&
          error.lines?.first === 1,
      );
    });
  }
});
