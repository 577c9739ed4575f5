// A sample of what sanitized.deep.test.ts does whole: starts, mounts and streams, where the shim handles most memory.
import assert from "node:assert/strict";
import path from "node:path";
import { describe, it } from "node:test";
import { run } from "@gantry/testkit/run";

const native = path.dirname(import.meta.dirname);

describe("with sanitizers, a sample", () => {
  for (const file of ["shim-start.test.ts", "shim-mounts.test.ts", "shim-streams.test.ts"]) {
    it(`the shim passes ${file}`, async () => {
      const ran = await run([process.execPath, "--test", path.join(native, "test", file)], {
        env: {
          PATH: process.env["PATH"] ?? "",
          HOME: "/root",
          GANTRY_SHIM: path.join(native, "build-asan/shim"),
          UBSAN_OPTIONS: "print_stacktrace=1",
        },
        timeoutMs: 5 * 60_000,
      });
      assert.equal(ran.code, 0, `${ran.stdout.slice(-6000)}${ran.stderr.slice(-2000)}`);
    });
  }
});
