import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkLogRotation } from "../log-rotation.ts";
import { validateLogConfig } from "./validate-host-config.ts";

type Options = Readonly<Record<string, string>>;

describe("log options at create", () => {
  const refusals: readonly [string, Options, string][] = [
    ["splunk", {}, 'error looking up logging plugin splunk: plugin "splunk" not found'],
    ["json-file", { nope: "1" }, "unknown log opt 'nope' for json-file log driver"],
    ["local", { nope: "1" }, "unknown log opt 'nope' for log driver local"],
    ["json-file", { mode: "fast" }, "logger: logging mode not supported: fast"],
    [
      "json-file",
      { "max-buffer-size": "1m" },
      "logger: max-buffer-size option is only supported with 'mode=non-blocking'",
    ],
    [
      "json-file",
      { mode: "non-blocking", "max-buffer-size": "x" },
      "error parsing option max-buffer-size: invalid size: 'x'",
    ],
  ];
  for (const [driver, options, message] of refusals) {
    it(`refuses ${driver} with ${JSON.stringify(options)}`, () => {
      const act = (): void => {
        validateLogConfig(driver, options);
      };
      assert.throws(act, { kind: "invalid_argument", message });
    });
  }

  it("takes what the drivers know", () => {
    validateLogConfig("json-file", { "max-size": "x", labels: "a", tag: "{{.Name}}" });
    validateLogConfig("local", { mode: "non-blocking", "max-buffer-size": "4m" });
    validateLogConfig("none", { "max-size": "1m" });
  });
});

describe("bounds of a log at start", () => {
  const refusals: readonly [string, Options, string][] = [
    ["json-file", { "max-size": "foo" }, "invalid size: 'foo'"],
    ["json-file", { "max-size": "-1" }, "invalid size: '-1'"],
    ["json-file", { "max-size": "10x" }, "invalid suffix: 'x'"],
    ["json-file", { "max-size": "0" }, "max-size must be a positive number"],
    ["local", { "max-size": "10x" }, "invalid value for max-size: 10x: invalid suffix: 'x'"],
    ["json-file", { "max-file": "x" }, 'strconv.Atoi: parsing "x": invalid syntax'],
    ["json-file", { "max-file": "0" }, "max-file cannot be less than 1"],
    ["json-file", { compress: "x" }, 'strconv.ParseBool: parsing "x": invalid syntax'],
    [
      "json-file",
      { compress: "true" },
      "compress cannot be true when max-file is less than 2 or max-size is not set",
    ],
  ];
  for (const [driver, options, problem] of refusals) {
    it(`refuses ${driver} with ${JSON.stringify(options)}`, () => {
      const act = (): void => {
        checkLogRotation(driver, options);
      };
      assert.throws(act, {
        kind: "internal",
        message: `failed to create task for container: failed to initialize logging driver: ${problem}`,
      });
    });
  }

  it("takes sizes in all of Docker's spellings", () => {
    for (const size of ["1", "10m", "10mb", "1.5m", "10MiB", "10 k"])
      checkLogRotation("json-file", { "max-size": size, "max-file": "+2", compress: "true" });
    checkLogRotation("local", { compress: "true" });
  });
});
