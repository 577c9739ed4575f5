// The programs' own tests once more, built with AddressSanitizer and UndefinedBehaviorSanitizer.
import assert from "node:assert/strict";
import { globSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { run } from "@gantry/testkit/run";

const native = path.dirname(import.meta.dirname);

/** Tests that use a shim process. */
const files = globSync("test/shim-*.test.ts", { cwd: native });

describe("with sanitizers", () => {
  for (const file of files) {
    it(`the shim passes ${path.basename(file)}`, async () => {
      const ran = await run([process.execPath, "--test", path.join(native, file)], {
        env: {
          PATH: process.env["PATH"] ?? "",
          HOME: "/root",
          GANTRY_SHIM: path.join(native, "build-asan/shim"),
          UBSAN_OPTIONS: "print_stacktrace=1",
        },
        timeoutMs: 10 * 60_000,
      });
      assert.equal(ran.code, 0, `${ran.stdout.slice(-6000)}${ran.stderr.slice(-2000)}`);
    });
  }

  it("the addon passes its tests", async () => {
    const ran = await run(["sh", path.join(native, "test/addon-asan.sh")], {
      env: { PATH: process.env["PATH"] ?? "", HOME: "/root" },
      timeoutMs: 20 * 60_000,
    });
    assert.equal(ran.code, 0, `${ran.stdout.slice(-6000)}${ran.stderr.slice(-2000)}`);
  });
});
