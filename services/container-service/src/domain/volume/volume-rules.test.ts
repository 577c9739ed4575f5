import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkDriverOptions, checkVolumeName, volumeMount } from "./volume-rules.ts";

describe("volume names", () => {
  for (const name of ["ab", "a.b-c_d", "0".repeat(64)]) {
    it(`may be ${name.slice(0, 10)}`, () => {
      checkVolumeName(name);
    });
  }
  for (const name of ["a", "", ".", "..", ".hidden", "a/b", "a b", "-a", "ä1", "a\0b"]) {
    it(`may not be ${JSON.stringify(name.slice(0, 10))}`, () => {
      assert.throws(
        () => {
          checkVolumeName(name);
        },
        { kind: "invalid_argument" },
      );
    });
  }
});

describe("driver options", () => {
  it("that are unknown or incomplete are refused", () => {
    const check = (options: Record<string, string>) => () => {
      checkDriverOptions("v", options);
    };
    assert.throws(check({ foo: "1" }), { message: 'create v: invalid option: "foo"' });
    assert.throws(check({ type: "tmpfs" }), {
      message: 'create v: missing required option: "device"',
    });
    assert.throws(check({ device: "/x" }), {
      message: 'create v: missing required option: "type"',
    });
    assert.throws(check({ o: "ro" }), { message: 'create v: missing required option: "device"' });
    assert.throws(check({ size: "xx" }), { message: "create v: invalid size: 'xx'" });
    check({ type: "", device: "", o: "" })();
    check({ type: "tmpfs", device: "tmpfs", o: "size=1m" })();
    check({})();
  });

  it("become a mount", () => {
    assert.equal(volumeMount({}), undefined);
    assert.deepEqual(volumeMount({ type: "tmpfs", device: "tmpfs", o: "size=1m,nosuid,uid=5" }), {
      source: "tmpfs",
      type: "tmpfs",
      flags: 2n,
      data: "size=1m,uid=5",
    });
    assert.deepEqual(volumeMount({ type: "none", device: "/srv", o: "bind,ro" }), {
      source: "/srv",
      type: "",
      flags: 4097n,
      data: "",
    });
  });
});
