import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type LongMount, parseMount } from "./mount-config.ts";

const noBindOptions = {
  propagation: "",
  nonRecursive: false,
  createMountpoint: false,
  readOnlyNonRecursive: false,
  readOnlyForceRecursive: false,
};
const noVolumeOptions = {
  noCopy: false,
  labels: {},
  driverName: "",
  driverOptions: {},
  subpath: "",
};
const rules = { recursiveReadOnly: true, strictOptions: true };

function long(mount: Partial<LongMount>) {
  return parseMount(
    { type: "bind", source: "/src", target: "/dst", readOnly: false, ...mount },
    rules,
  );
}

describe("mounts in the long form", () => {
  it("want their source to be there", () => {
    assert.equal(long({}).sourceMustExist, true);
  });

  it("are read-only as deep as the kernel can, from API 1.44 on", () => {
    assert.equal(long({ readOnly: true }).readOnly, "deep-if-possible");
    const old = { ...rules, recursiveReadOnly: false };
    assert.equal(
      parseMount({ type: "bind", source: "/s", target: "/d", readOnly: true }, old).readOnly,
      "shallow",
    );
  });

  it("keep options that exclude each other for the start", () => {
    const conflict = (readOnly: boolean, options: Partial<typeof noBindOptions>) =>
      long({ readOnly, bindOptions: { ...noBindOptions, ...options } }).conflict;
    const shallow = { readOnlyNonRecursive: true };
    const deep = { readOnlyForceRecursive: true };
    assert.equal(conflict(false, shallow), "!ReadOnly && BindOptions.ReadOnlyNonRecursive");
    assert.equal(conflict(false, deep), "!ReadOnly && BindOptions.ReadOnlyForceRecursive");
    assert.equal(
      conflict(true, { ...shallow, ...deep }),
      "ReadOnlyNonRecursive && BindOptions.ReadOnlyForceRecursive",
    );
    assert.equal(conflict(true, { ...deep, nonRecursive: true }), undefined);
    assert.equal(conflict(false, {}), undefined);
  });

  it("of a tmpfs may have options of a volume, before API 1.42", () => {
    const mount = { type: "tmpfs", source: "", target: "/t", readOnly: false };
    const old = { ...rules, strictOptions: false };
    assert.equal(parseMount({ ...mount, volumeOptions: noVolumeOptions }, old).type, "tmpfs");
    assert.throws(() => parseMount({ ...mount, bindOptions: noBindOptions }, old), {
      message: 'invalid mount config for type "tmpfs": field BindOptions must not be specified',
    });
  });

  for (const [mount, message] of [
    [{ type: "", target: "" }, 'invalid mount config for type "": field Target must not be empty'],
    [
      { source: "", target: "/" },
      "invalid mount config for type \"bind\": invalid specification: destination can't be '/'",
    ],
    [
      { imageOptions: { subpath: "" } },
      'invalid mount config for type "bind": field ImageOptions must not be specified',
    ],
    [
      { type: "volume", source: "", volumeOptions: { ...noVolumeOptions, subpath: "a" } },
      'invalid mount config for type "volume": must not set Subpath when using anonymous volumes',
    ],
    [{ type: "npipe" }, 'invalid mount config for type "npipe": mount type unknown'],
    [{ target: "" }, 'invalid mount config for type "bind": field Target must not be empty'],
    [{ source: "" }, 'invalid mount config for type "bind": field Source must not be empty'],
    [
      { source: "rel" },
      "invalid mount config for type \"bind\": invalid mount path: 'rel' mount path must be absolute",
    ],
    [
      { type: "tmpfs" },
      'invalid mount config for type "tmpfs": field Source must not be specified',
    ],
    [
      { tmpfsOptions: { sizeBytes: 1n, mode: 0, options: [] } },
      'TmpfsOptions must not be specified on mount type "bind"',
    ],
  ] as const) {
    it(`refuse ${message}`, () => {
      assert.throws(() => long(mount), { kind: "invalid_argument", message });
    });
  }

  for (const subpath of ["/abs", "..", "../x", "a/../../x", "a\0b"]) {
    it(`refuse the subpath ${JSON.stringify(subpath)}`, () => {
      const volumeOptions = { ...noVolumeOptions, subpath };
      assert.throws(() => long({ type: "volume", source: "v1", volumeOptions }), {
        kind: "invalid_argument",
      });
    });
  }
});
