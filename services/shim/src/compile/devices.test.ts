import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { RuntimeDeviceRule } from "@gantry/oci/runtime-spec";
import { compileDeviceProgram } from "./device-program.ts";
import { compileDevicePolicy, compileDevices, devicePolicyWrites } from "./devices.ts";

describe("compileDevices", () => {
  it("makes nodes of every type, with Docker's defaults", () => {
    assert.deepEqual(
      compileDevices([
        { path: "/dev/fuse", type: "c", major: 10, minor: 229, fileMode: 0o660, uid: 1, gid: 2 },
      ]),
      [{ path: "/dev/fuse", mode: 0o020660, major: 10, minor: 229, uid: 1, gid: 2 }],
    );
    assert.equal(compileDevices([{ path: "/dev/sda", type: "b" }])[0]?.mode, 0o060666);
    assert.equal(compileDevices([{ path: "/dev/p", type: "p" }])[0]?.mode, 0o010666);
    assert.equal(compileDevices([{ path: "/dev/u", type: "u" }])[0]?.mode, 0o020666);
  });

  it("leaves the default ones to the shim process, and refuses relative paths", () => {
    assert.deepEqual(compileDevices([{ path: "/dev/null", type: "c" }]), []);
    assert.throws(() => compileDevices([{ path: "dev/x", type: "c" }]), /must be absolute/);
  });
});

/** Interprets the program as the kernel would: the judge of both forms. */
function run(
  program: Uint8Array,
  type: number,
  access: number,
  major: number,
  minor: number,
): boolean {
  const view = new DataView(program.buffer, program.byteOffset);
  const context = [access * 65536 + type, major, minor];
  const r = Array.from({ length: 11 }, () => 0);
  const get = (index: number): number => r[index] ?? 0;
  for (let at = 0, steps = 0; steps < 10_000; steps += 1, at += 1) {
    const code = view.getUint8(at * 8);
    const registers = view.getUint8(at * 8 + 1);
    const [dst, src] = [registers & 15, registers >> 4];
    const off = view.getInt16(at * 8 + 2, true);
    const imm = view.getInt32(at * 8 + 4, true);
    if (code === 0x61) r[dst] = context[off / 4] ?? 0;
    else if (code === 0xb4) r[dst] = imm;
    else if (code === 0xbc) r[dst] = get(src);
    else if (code === 0x54) r[dst] = (get(dst) & imm) >>> 0;
    else if (code === 0x74) r[dst] = get(dst) >>> imm;
    else if (code === 0x55) at += get(dst) === imm ? 0 : off;
    else if (code === 0x5d) at += get(dst) === get(src) ? 0 : off;
    else if (code === 0x15) at += get(dst) === imm ? off : 0;
    else if (code === 0x95) return get(0) === 1;
    else throw new Error(`unknown instruction ${code.toString(16)}`);
  }
  throw new Error("endless program");
}

const kinds = { b: 1, c: 2 } as const;
const bits: Record<string, number> = { m: 1, r: 2, w: 4 };

function allows(
  rules: RuntimeDeviceRule[] | undefined,
  type: "b" | "c",
  major: number,
  minor: number,
  access: string,
): boolean {
  const asked = [...access].reduce((sum, letter) => sum | (bits[letter] ?? 0), 0);
  return run(compileDeviceProgram(compileDevicePolicy(rules)), kinds[type], asked, major, minor);
}

const denyAll: RuntimeDeviceRule = { allow: false, access: "rwm" };

describe("device rules", () => {
  it("allow the default devices and the making of nodes, and nothing else, by default", () => {
    for (const rules of [undefined, [denyAll]]) {
      assert.ok(allows(rules, "c", 1, 3, "rw"));
      assert.ok(allows(rules, "c", 136, 7, "rwm"));
      assert.ok(allows(rules, "b", 8, 0, "m"));
      assert.ok(!allows(rules, "b", 8, 0, "r"));
      assert.ok(!allows(rules, "c", 10, 200, "rw"));
      assert.ok(!allows(rules, "c", 10, 200, "rm"));
    }
  });

  it("allow what a rule names, with its access only", () => {
    const rules = [denyAll, { allow: true, type: "c", major: 10, minor: 229, access: "rw" }];
    assert.ok(allows(rules, "c", 10, 229, "r"));
    assert.ok(!allows(rules, "b", 10, 229, "r"));
    assert.ok(!allows(rules, "c", 10, 228, "r"));
    const readOnly = [denyAll, { allow: true, type: "b", major: 8, access: "r" }];
    assert.ok(allows(readOnly, "b", 8, 3, "r"));
    assert.ok(!allows(readOnly, "b", 8, 3, "rw"));
  });

  it("let the last rule that fits decide", () => {
    const rules = [
      { allow: true, access: "rwm" },
      { allow: false, type: "b", major: 8, minor: 1, access: "w" },
    ];
    assert.ok(allows(rules, "b", 8, 0, "rw"));
    assert.ok(allows(rules, "b", 8, 1, "r"));
    assert.ok(!allows(rules, "b", 8, 1, "rw"));
  });

  it("allow all for a privileged container, in one line", () => {
    const policy = compileDevicePolicy([{ allow: true, access: "rwm" }]);
    assert.deepEqual(devicePolicyWrites(policy), [{ file: "devices.allow", value: "a" }]);
    assert.ok(allows([{ allow: true, access: "rwm" }], "b", 250, 250, "rwm"));
  });

  it("write a rule for both kinds as two lines", () => {
    const writes = devicePolicyWrites(
      compileDevicePolicy([denyAll, { allow: true, type: "a", major: 7, access: "r" }]),
    );
    assert.deepEqual(
      writes.slice(0, 3).map(({ file, value }) => `${file} ${value}`),
      ["devices.deny a", "devices.allow b 7:* r", "devices.allow c 7:* r"],
    );
  });

  it("say nothing twice, but again after a denial", () => {
    const fuse: RuntimeDeviceRule = {
      allow: true,
      type: "c",
      major: 10,
      minor: 229,
      access: "rwm",
    };
    const count = (rules: RuntimeDeviceRule[]): number =>
      compileDevicePolicy(rules).rules.filter((rule) => rule.major === 10).length;
    assert.equal(count([denyAll, fuse, fuse]), 1);
    assert.equal(count([denyAll, fuse, { ...fuse, allow: false }, fuse]), 3);
  });

  it("refuse unknown types and access", () => {
    assert.throws(() => compileDevicePolicy([{ allow: true, type: "x" }]), /unknown device type x/);
    assert.throws(
      () => compileDevicePolicy([{ allow: true, access: "rx" }]),
      /unknown device access rx/,
    );
  });

  it("take negative numbers for any, and a rule without access for none", () => {
    assert.ok(
      allows(
        [denyAll, { allow: true, type: "c", major: 10, minor: -1, access: "r" }],
        "c",
        10,
        5,
        "r",
      ),
    );
    assert.equal(
      compileDevicePolicy([
        denyAll,
        { allow: true, type: "c", major: 99, access: "" },
      ]).rules.filter((rule) => rule.major === 99).length,
      0,
    );
  });
});
