import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { seccompOf } from "./seccomp-profile.ts";

const place = {
  capabilities: ["CAP_CHOWN", "CAP_SYS_PTRACE"],
  machine: "x86_64",
  kernel: "5.10.0-28-amd64",
};
const allow = { defaultAction: "SCMP_ACT_ERRNO" };
const rule = (more: object) => ({ names: ["reboot"], action: "SCMP_ACT_ALLOW", ...more });
const of = (profile: unknown, at = place) => seccompOf(JSON.stringify(profile), at);

describe("a seccomp profile", () => {
  const rows: readonly [name: string, rule: object, holds: boolean][] = [
    ["no condition", {}, true],
    ["a capability that is there", { includes: { caps: ["CAP_CHOWN"] } }, true],
    ["one that is not", { includes: { caps: ["CAP_CHOWN", "CAP_SYS_ADMIN"] } }, false],
    ["without one that is there", { excludes: { caps: ["CAP_SYS_ADMIN", "CAP_CHOWN"] } }, false],
    ["without one that is not", { excludes: { caps: ["CAP_SYS_ADMIN"] } }, true],
    ["this architecture", { includes: { arches: ["arm64", "amd64"] } }, true],
    ["another architecture", { includes: { arches: ["s390x"] } }, false],
    ["without this architecture", { excludes: { arches: ["amd64"] } }, false],
    ["an older kernel", { includes: { minKernel: "4.8" } }, true],
    ["this kernel", { includes: { minKernel: "5.10" } }, true],
    ["a newer kernel", { includes: { minKernel: "5.11" } }, false],
    ["without an older kernel", { excludes: { minKernel: "4.8" } }, false],
    ["names in other cases", { Includes: { Caps: ["CAP_SYS_ADMIN"] } }, false],
    ["nothing in its lists", { includes: null, excludes: {}, args: null }, true],
  ];
  for (const [name, more, holds] of rows) {
    it(`${holds ? "has" : "has not"} a rule for ${name}`, () => {
      const calls = of({ ...allow, syscalls: [rule(more)] })?.syscalls;
      assert.deepEqual(calls, holds ? [rule({ args: [] })] : []);
    });
  }

  it("names architectures by the machine, or outright", () => {
    const archMap = [
      { architecture: "SCMP_ARCH_AARCH64", subArchitectures: ["SCMP_ARCH_ARM"] },
      { architecture: "SCMP_ARCH_X86_64", subArchitectures: ["SCMP_ARCH_X86"] },
    ];
    assert.deepEqual(of({ ...allow, archMap })?.architectures, [
      "SCMP_ARCH_X86_64",
      "SCMP_ARCH_X86",
    ]);
    assert.deepEqual(of({ ...allow, archMap }, { ...place, machine: "mips" })?.architectures, []);
    const architectures = ["SCMP_ARCH_X86_64"];
    assert.deepEqual(of({ ...allow, architectures })?.architectures, architectures);
    assert.throws(() => of({ ...allow, architectures, archMap }), /^.*both 'architectures' and/);
  });

  it("may name one call in the old way, and keeps 64-bit arguments", () => {
    const old = { name: "clone", action: "SCMP_ACT_ERRNO", errnoRet: 38 };
    const text = `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"name":"clone","action":"SCMP_ACT_ERRNO",
      "errnoRet":38,"args":[{"index":0,"value":18446744073709551615,"op":"SCMP_CMP_EQ"}]}]}`;
    const args = [{ index: 0, value: 18446744073709551615n, op: "SCMP_CMP_EQ" }];
    assert.deepEqual(seccompOf(text, place)?.syscalls, [
      { names: ["clone"], action: "SCMP_ACT_ERRNO", errnoRet: 38, args },
    ]);
    assert.throws(() => of({ ...allow, syscalls: [{ ...old, names: ["fork"] }] }), /both 'name'/);
  });

  it("that says nothing is no filter", () => {
    for (const profile of [{}, null, { syscalls: [] }, { archMap: [] }]) {
      assert.equal(of(profile), undefined);
    }
  });

  it("that cannot be read is refused", () => {
    const rows: readonly [string, string | RegExp][] = [
      ["builtin", "invalid character 'b' looking for beginning of value"],
      ["{", "unexpected end of JSON input"],
      ["[]", /must be/],
      ['{"syscalls":[{"names":"chown"}]}', /must be a list/],
      ['{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"includes":{"minKernel":"new"}}]}', /new/],
    ];
    for (const [text, message] of rows) {
      assert.throws(
        () => seccompOf(text, place),
        (error: Error) => {
          const [prefix, rest = ""] = error.message.split("Decoding seccomp profile failed: ");
          assert.equal(prefix, "");
          if (typeof message === "string") assert.equal(rest, message);
          else assert.match(rest, message);
          return true;
        },
      );
    }
  });
});
