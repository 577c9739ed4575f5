/**
 * The runtime on another kernel than this machine's: Debian's own, in QEMU, where cgroup v2 is all there is. A sample;
 * `npm run test:deep` and `npm run test:cgroup2` run all of it.
 */
import assert from "node:assert/strict";
import path from "node:path";
import { describe, it } from "node:test";
import { run } from "@gantry/testkit";

const repository = path.dirname(path.dirname(import.meta.dirname));
const deep = process.env["GANTRY_TEST_DEEP"] !== undefined;
const sample = ["services/shim/test/cgroup-versions.test.ts"];
const unsupported = process.arch !== "x64" && "Debian's emulated kernel is for x86-64 only";

describe("on an emulated kernel", { skip: unsupported }, () => {
  it("the runtime does the same with cgroup v2 alone", async () => {
    const script = path.join(repository, "scripts/test-cgroup2.ts");
    const ran = await run([process.execPath, script, ...(deep ? [] : sample)], {
      timeoutMs: 50 * 60_000,
    });
    const told = `${ran.stdout}\n${ran.stderr}`.slice(-10_000);
    assert.equal(ran.code, 0, told);
    const [, passed] = /^cgroup2: (\d+) passed, 0 failed$/m.exec(ran.stdout) ?? [];
    assert.ok(Number(passed) >= (deep ? 60 : 3), told);
  });
});
