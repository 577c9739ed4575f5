import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { applyChanges } from "./apply-changes.ts";

describe("applyChanges", () => {
  const cases: readonly [string, Record<string, unknown>][] = [
    ['CMD ["a","b"]', { Cmd: ["a", "b"] }],
    ["cmd echo hi", { Cmd: ["/bin/sh", "-c", "echo hi"] }],
    ["ENV A=1 B='2 3'", { Env: ["A=1", "B=2 3"] }],
    ["ENV A some words", { Env: ["A=some words"] }],
    ['LABEL a="b c" d=e', { Labels: { a: "b c", d: "e" } }],
    [
      "EXPOSE 80 53/udp 8000-8001",
      { ExposedPorts: { "80/tcp": {}, "53/udp": {}, "8000/tcp": {}, "8001/tcp": {} } },
    ],
    ["VOLUME /a /b", { Volumes: { "/a": {}, "/b": {} } }],
    ["WORKDIR ../a/./b", { WorkingDir: "/a/b" }],
    ["USER 1:2", { User: "1:2" }],
    ["STOPSIGNAL SIGINT", { StopSignal: "SIGINT" }],
    ["STOPSIGNAL 999", { StopSignal: "999" }],
    ["EXPOSE 0 80/", { ExposedPorts: { "0/tcp": {}, "80/tcp": {} } }],
    ["ONBUILD RUN x", { OnBuild: ["RUN x"] }],
    ["HEALTHCHECK NONE", { Healthcheck: { Test: ["NONE"] } }],
    [
      "HEALTHCHECK --interval=5s --retries=2 CMD curl x",
      { Healthcheck: { Interval: 5e9, Retries: 2, Test: ["CMD-SHELL", "curl x"] } },
    ],
  ];
  for (const [line, expected] of cases) {
    it(`applies ${line}`, () => {
      assert.deepEqual(applyChanges({}, [line]), expected);
    });
  }

  const variables: readonly [string, string, unknown][] = [
    ["ENV A=$B:/y", "Env", ["B=/x", "C=", "A=/x:/y"]],
    ["ENV A $B and '$B' and \"$B\"", "Env", ["B=/x", "C=", "A=/x and $B and /x"]],
    ["ENV B=/z A=$B", "Env", ["B=/z", "C=", "A=/x"]],
    ['ENV A="${C:-none} ${C-none} ${B:+some} $D."', "Env", ["B=/x", "C=", "A=none  some ."]],
    ["ENV A=\\$B", "Env", ["B=/x", "C=", "A=$B"]],
    ["LABEL a=$B", "Labels", { a: "/x" }],
    ["WORKDIR $B/y", "WorkingDir", "/x/y"],
    ["USER ${B}", "User", "/x"],
    ["VOLUME $B /y", "Volumes", { "/x": {}, "/y": {} }],
    ['VOLUME ["$B"]', "Volumes", { "/x": {} }],
    ['CMD ["$B"]', "Cmd", ["$B"]],
  ];
  for (const [line, member, expected] of variables) {
    it(`takes variables of the image: ${line}`, () => {
      assert.deepEqual(applyChanges({ Env: ["B=/x", "C="] }, [line])[member], expected);
    });
  }

  it("takes variables of the instruction before", () => {
    assert.deepEqual(applyChanges({}, ["ENV P=/a", "ENV P=/b:$P"]), { Env: ["P=/b:/a"] });
  });

  it("changes a copy, in order, and drops the old arguments with the old entry point", () => {
    const config = { Env: ["A=0", "B=1"], Cmd: ["old"] };
    const changed = applyChanges(config, ["ENV A=2", 'ENTRYPOINT ["x"]\nENV C=3']);
    assert.deepEqual(changed, { Env: ["A=2", "B=1", "C=3"], Entrypoint: ["x"] });
    assert.deepEqual(config, { Env: ["A=0", "B=1"], Cmd: ["old"] });
  });

  it("takes an empty command or entry point for none, but for a CMD without anything", () => {
    const config = { Cmd: ["old"], Entrypoint: ["enter"] };
    assert.deepEqual(applyChanges({ Cmd: ["old"] }, ["CMD []"]), { Cmd: ["old"] });
    assert.deepEqual(applyChanges(config, ["CMD []"]), { Entrypoint: ["enter"] });
    assert.deepEqual(applyChanges(config, ["CMD"]), { ...config, Cmd: ["/bin/sh", "-c"] });
    for (const line of ["ENTRYPOINT", "ENTRYPOINT []"])
      assert.deepEqual(applyChanges(config, [line]), config);
  });

  for (const [bad, message] of [
    ["", "file with no instructions"],
    ["# nothing", "file with no instructions"],
    ["WORKDIR", "WORKDIR requires exactly one argument"],
    ["USER", "USER requires exactly one argument"],
    ["STOPSIGNAL", "STOPSIGNAL requires exactly one argument"],
    ["VOLUME", "VOLUME requires at least one argument"],
    ["VOLUME []", "VOLUME requires at least one argument"],
    ['VOLUME [""]', "VOLUME specified can not be an empty string"],
    ['VOLUME /a ""', "VOLUME specified can not be an empty string"],
    ['WORKDIR ""', "cannot normalize nothing"],
    ["EXPOSE 80/foo", "Invalid proto: foo"],
    ["EXPOSE 82-80", "Invalid containerPort: 82-80"],
    ["STOPSIGNAL x", "invalid signal: x"],
    ["STOPSIGNAL 0", "invalid signal: 0"],
    ["STOPSIGNAL $none", "invalid signal: "],
    ["ONBUILD from x", "FROM isn't allowed as an ONBUILD trigger"],
    ["ONBUILD MAINTAINER x", "MAINTAINER isn't allowed as an ONBUILD trigger"],
    ["ONBUILD ONBUILD RUN x", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"],
  ] as const) {
    it(`says of ${bad === "" ? "nothing" : bad}: ${message}`, () => {
      assert.throws(() => applyChanges({}, [bad]), { kind: "invalid_argument", message });
    });
  }

  for (const bad of [
    "RUN x",
    "EXPOSE x",
    "EXPOSE 99999",
    "ENV",
    'LABEL a="b',
    "HEALTHCHECK x",
    "HEALTHCHECK --interval=x CMD a",
    "ENV =x",
    "ENV A=${B",
    "ENV A=${B:?}",
    "ENV A=${}",
    "LABEL a='b",
  ]) {
    it(`refuses ${bad}`, () => {
      assert.throws(() => applyChanges({}, [bad]), { kind: "invalid_argument" });
    });
  }
});
