import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { run } from "@gantry/testkit/run";
import { openStuckProcess } from "@gantry/testkit/stuck-process";

const findHolders = JSON.stringify(import.meta.resolve("@gantry/testkit/holders"));

describe("findHolders", () => {
  it("answers while a stranger's memory map is held because of a frozen disk", async () => {
    await using stuck = await openStuckProcess();
    const cmdline = ["cat", `/proc/${String(stuck.pid)}/cmdline`];
    // Intentionally short: this one does not end by itself.
    assert.equal((await run(cmdline, { timeoutMs: 500 })).code, 137);
    const look = `import { findHolders } from ${findHolders}; console.log(findHolders(${JSON.stringify(stuck.file)})[0].pid)`;
    const args = ["--disable-warning=ExperimentalWarning", "--input-type=module", "-e", look];
    const looked = await run([process.execPath, ...args], { timeoutMs: 30_000 });
    assert.equal(looked.stdout, `${String(stuck.pid)}\n`, looked.stderr);
  });
});
