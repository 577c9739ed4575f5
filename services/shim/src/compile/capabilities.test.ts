import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { capabilityNames } from "@gantry/oci/capabilities";
import { capabilityMask, compileCapabilities, defaultCapabilities } from "./capabilities.ts";

const all = (1n << 41n) - 1n;

describe("capabilities", () => {
  it("has Docker's default mask", () => {
    assert.equal(capabilityMask(defaultCapabilities), 0xa80425fbn);
  });

  it("gives each name a bit of its own, in the kernel's order", () => {
    assert.equal(capabilityMask(capabilityNames), (1n << BigInt(capabilityNames.length)) - 1n);
    assert.equal(capabilityMask(capabilityNames.slice(3, 4)), 8n);
  });

  it("knows as many as the kernel", () => {
    const last = Number(readFileSync("/proc/sys/kernel/cap_last_cap", "utf8"));
    assert.ok(capabilityNames.length >= last + 1);
  });

  it("takes names in any case and refuses unknown ones", () => {
    assert.equal(capabilityMask(["cap_chown"]), 1n);
    assert.throws(() => capabilityMask(["CAP_NONE"]), /unknown capability CAP_NONE/);
  });

  it("leaves out what the engine has not itself", () => {
    const sets = compileCapabilities(
      { bounding: ["CAP_CHOWN", "CAP_SYS_RESOURCE"], permitted: ["CAP_SYS_RESOURCE"] },
      all & ~(1n << 24n),
    );
    assert.deepEqual(sets, {
      bounding: 1n,
      permitted: 0n,
      effective: 0n,
      inheritable: 0n,
      ambient: 0n,
    });
  });

  it("keeps effective inside permitted, and ambient inside permitted and inheritable", () => {
    const sets = compileCapabilities(
      {
        effective: ["CAP_CHOWN", "CAP_KILL"],
        permitted: ["CAP_KILL"],
        inheritable: ["CAP_KILL"],
        ambient: ["CAP_KILL", "CAP_CHOWN"],
      },
      all,
    );
    assert.deepEqual([sets.effective, sets.ambient], [1n << 5n, 1n << 5n]);
  });

  it("gives nothing when nothing is named", () => {
    assert.equal(compileCapabilities(undefined, all).bounding, 0n);
  });
});
