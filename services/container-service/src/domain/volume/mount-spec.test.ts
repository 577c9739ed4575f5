import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  type LongMount,
  parseAnonymous,
  parseBind,
  parseMount,
  parseTmpfs,
  parseVolumesFrom,
} from "./mount-spec.ts";

const rules = { recursiveReadOnly: true, strictOptions: true };

function bind(text: string) {
  return parseBind(text, "", rules);
}

function long(mount: Partial<LongMount>) {
  return parseMount(
    { type: "bind", source: "/src", target: "/dst", readOnly: false, ...mount },
    rules,
  );
}

describe("binds", () => {
  it("with an absolute source are of the host, and made when missing", () => {
    const { type, source, destination, rw, propagation, createSource, mode } = bind("/a/../b/:/c/");
    assert.deepEqual(
      { type, source, destination, rw, propagation, createSource, mode },
      {
        type: "bind",
        source: "/b",
        destination: "/c",
        rw: true,
        propagation: "rprivate",
        createSource: true,
        mode: "",
      },
    );
  });

  it("with a name are of a volume, with the mode z unless one is given", () => {
    assert.equal(bind("v1:/c").mode, "z");
    const readOnly = bind("v1:/c:ro,nocopy");
    assert.deepEqual(
      [readOnly.type, readOnly.name, readOnly.driver, readOnly.rw, readOnly.mode, readOnly.noCopy],
      ["volume", "v1", "local", false, "ro,nocopy", true],
    );
  });

  for (const [text, message] of [
    ["/x:/", /destination can't be '\/'/],
    ["/x:/a/..", /destination can't be '\/'/],
    ["/x:y", /invalid mount path: 'y' mount path must be absolute/],
    ["/x:/y:zz", /^invalid mode: zz$/],
    ["/x:/y:ro,rw", /^invalid mode: ro,rw$/],
    ["/x:/y:nocopy", /^invalid mode: nocopy$/],
    ["/a:/b:ro:x", /^invalid volume specification: '\/a:\/b:ro:x'$/],
    ["/a:ro", /^invalid volume specification: '\/a:ro'$/],
    ["", /^invalid volume specification: ''$/],
    [":/x", /^invalid volume specification: ':\/x'$/],
  ] as const) {
    it(`refuse ${JSON.stringify(text)}`, () => {
      assert.throws(() => bind(text), { kind: "invalid_argument", message });
    });
  }
});

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

  for (const [mount, message] of [
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
      const volumeOptions = {
        noCopy: false,
        labels: {},
        driverName: "",
        driverOptions: {},
        subpath,
      };
      assert.throws(() => long({ type: "volume", source: "v1", volumeOptions }), {
        kind: "invalid_argument",
      });
    });
  }
});

describe("other mounts", () => {
  it("give a tmpfs Docker's defaults unless overruled", () => {
    assert.deepEqual(parseTmpfs("/t", "exec,size=1m").tmpfsOptions, [
      "nosuid",
      "nodev",
      "exec",
      "size=1m",
    ]);
    assert.throws(() => parseTmpfs("/t", "evil=1"), { kind: "invalid_argument" });
  });

  it("refuse a volume of the image that would be the root", () => {
    assert.throws(() => parseAnonymous("/../..", ""), /destination can't be '\/'/);
  });

  it("read volumes-from with its mode", () => {
    assert.deepEqual(parseVolumesFrom("c:ro"), { container: "c", readOnly: true });
    assert.throws(() => parseVolumesFrom("c:shared"), /invalid mode for volumes-from: shared/);
  });
});
