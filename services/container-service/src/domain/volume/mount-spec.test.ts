import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { internal } from "@gantry/errors";
import { parseAnonymous, parseBind, parseTmpfs, parseVolumesFrom } from "./mount-spec.ts";
import { tmpfsOptions } from "./tmpfs-options.ts";

const rules = { recursiveReadOnly: true, strictOptions: true };

function bind(text: string) {
  return parseBind(text, "", rules);
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
    ["/x:/y:nocopy", /type "bind": field VolumeOptions must not be specified$/],
    ["v1:/y:rslave", /type "volume": field BindOptions must not be specified$/],
    ["v1:/y:copy", /^invalid mode: copy$/],
    ["v1:/y:ro,", /^invalid mode: ro,$/],
    ["v1:/y:RO", /^invalid mode: RO$/],
    ["/x:/y:/z", /^invalid mode: \/z$/],
    ["/a:", /^invalid volume specification: '\/a:'$/],
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

describe("other mounts", () => {
  it("give a tmpfs Docker's defaults unless overruled, at its start", () => {
    const atStart = (options: string): readonly string[] =>
      tmpfsOptions(parseTmpfs("/t", options).tmpfsOptions, internal);
    assert.deepEqual(atStart("exec,size=1m"), ["nosuid", "nodev", "exec", "size=1m"]);
    for (const [options, word] of [
      ["evil=1", "evil"],
      ["size", "size"],
      ["EXEC", "EXEC"],
      ["huge=always", "huge"],
      [",", ""],
    ] as const) {
      assert.throws(() => atStart(options), {
        kind: "internal",
        message: `invalid tmpfs option "${word}"`,
      });
    }
    assert.deepEqual(atStart("defaults,mand,rprivate"), ["noexec", "nosuid", "nodev", "rprivate"]);
    assert.equal(parseTmpfs("/t", "ro,size=1m").rw, false);
    assert.equal(parseTmpfs("/t", "ro,rw").rw, true);
  });

  it("name the destination of a tmpfs without its type", () => {
    for (const [destination, message] of [
      ["", "invalid mount path: '' mount path must be absolute"],
      ["x", "invalid mount path: 'x' mount path must be absolute"],
      ["/..", "invalid specification: destination can't be '/'"],
    ] as const) {
      assert.throws(() => parseTmpfs(destination, ""), { kind: "invalid_argument", message });
    }
  });

  it("take a relative volume of an image for one below the root", () => {
    assert.equal(parseAnonymous("data", "").destination, "/data");
    const shown = ["data", "./data/", "../a/b", "/data"].map(
      (each) => parseAnonymous(each, "").shownAs,
    );
    assert.deepEqual(shown, ["data", "data", "../a/b", undefined]);
    assert.equal(parseAnonymous("['/data']", "").destination, "/['/data']");
  });

  it("refuse a volume of the image that would be the root", () => {
    assert.throws(() => parseAnonymous("/../..", ""), /destination can't be '\/'/);
  });

  it("read volumes-from with its mode", () => {
    assert.deepEqual(parseVolumesFrom("c:ro"), { container: "c", readOnly: true });
    for (const [text, message] of [
      ["c:shared", "invalid mode: shared"],
      ["c:nocopy", "invalid mode: nocopy"],
      ["c:ro:z", "invalid mode: ro:z"],
      ["", "volumes-from specification cannot be an empty string"],
      [":ro", 'invalid name or ID supplied: ""'],
    ] as const) {
      assert.throws(() => parseVolumesFrom(text), { kind: "invalid_argument", message });
    }
  });
});
