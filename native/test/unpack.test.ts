/** `unpack unpack`: what becomes of a layer's entries, hostile ones and those beyond the limits too. */
import assert from "node:assert/strict";
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import { gzipSync } from "node:zlib";
import { padded, tarOf } from "./tar-bytes.ts";
import {
  builds,
  describeTree,
  runUnpack,
  sh,
  startUnpack,
  workDirectory,
} from "./unpack-program.ts";

/** A root to unpack into, and beside it a file that nothing may touch. */
function guardedRoot(t: TestContext): { root: string; guard: string; check: () => void } {
  const work = workDirectory(t);
  const root = path.join(work, "root");
  const guard = path.join(work, "guard");
  mkdirSync(root);
  mkdirSync(guard);
  writeFileSync(path.join(guard, "secret"), "untouched");
  const before = describeTree(guard);
  return { root, guard, check: () => assert.equal(describeTree(guard), before) };
}

for (const build of builds) {
  describe(`unpack (${build})`, () => {
    it("turns whiteouts into overlayfs' own", async (t) => {
      const root = workDirectory(t);
      const input = tarOf(
        { name: "dir/", type: "5", mode: 0o755 },
        { name: "dir/.wh..wh..opq" },
        { name: "dir/.wh.gone" },
        { name: ".wh.top" },
        { name: "missing/parent/.wh.x" },
        { name: ".wh.again" },
        { name: "again/", type: "5", mode: 0o700 },
        { name: "both/", type: "5", mode: 0o755 },
        { name: ".wh.both" },
        { name: "file", data: "stays" },
        { name: ".wh.file" },
        { name: ".wh.implied" },
        { name: "implied/child", data: "c" },
        { name: ".wh..wh.plnk/", type: "5" },
      );
      const { report } = await runUnpack(build, root, ["unpack"], { input });
      assert.equal(report?.ok, true, JSON.stringify(report));
      const opaque = sh(
        "getfattr -R -d -m trusted.overlay . | grep '^# file' | cut -c9- | LC_ALL=C sort",
        root,
      );
      assert.deepEqual(opaque.trim().split("\n"), ["again", "both", "dir", "implied"]);
      for (const name of ["dir/gone", "top", "missing/parent/x"]) {
        const st = lstatSync(path.join(root, name));
        assert.deepEqual([st.isCharacterDevice(), st.rdev], [true, 0], name);
      }
      assert.equal(readFileSync(path.join(root, "file"), "utf8"), "stays");
      assert.deepEqual(readdirSync(root).sort(), [
        "again",
        "both",
        "dir",
        "file",
        "implied",
        "missing",
        "top",
      ]);
    });

    for (const name of [".wh.", ".wh..", ".wh...", "a/.wh..."]) {
      it(`refuses the whiteout ${name}`, async (t) => {
        const { root, check } = guardedRoot(t);
        const { report } = await runUnpack(build, root, ["unpack"], { input: tarOf({ name }) });
        assert.deepEqual([report?.ok, report?.step], [false, "whiteout"]);
        check();
      });
    }

    it("keeps every name inside the directory", async (t) => {
      const { root, guard, check } = guardedRoot(t);
      const input = tarOf(
        { name: "../guard/secret", data: "dotdot" },
        { name: "a/../../guard/secret", data: "inner" },
        { name: `${guard}/secret`, data: "absolute" },
        { name: "out", type: "2", linkName: "../guard" },
        { name: "out/secret", data: "through a link" },
        { name: "abs", type: "2", linkName: guard },
        { name: "abs/secret", data: "through an absolute link" },
        { name: "up", type: "2", linkName: "../../../../../../.." },
        { name: `up${guard}/secret`, data: "through a link to the top" },
        { name: "out/.wh.secret" },
        { name: "abs/.wh..wh..opq" },
        { name: "abs/secret", type: "5", mode: 0o777, uid: 12 },
        { name: "self", type: "2", linkName: "/proc/self/root" },
        { name: "self/file", data: "x" },
        { name: "../../../../../../../../tmp/gantry-unpack-escape", data: "x" },
      );
      const { report } = await runUnpack(build, root, ["unpack"], { input });
      assert.equal(report?.ok, true, JSON.stringify(report));
      check();
      // The top stands for everything above it.
      assert.ok(lstatSync(path.join(root, "guard")).isDirectory());
      assert.ok(lstatSync(path.join(root, "tmp/gantry-unpack-escape")).isFile());
      assert.throws(() => lstatSync("/tmp/gantry-unpack-escape"));
    });

    it("cannot link to, chmod or overwrite a file outside", async (t) => {
      const { root, guard, check } = guardedRoot(t);
      for (const linkName of [
        "../guard/secret",
        `${guard}/secret`,
        "../../../../etc/passwd",
        "/etc/passwd",
      ]) {
        const { report } = await runUnpack(build, root, ["unpack"], {
          input: tarOf({ name: "hard", type: "1", linkName }, { name: "hard", data: "changed" }),
        });
        assert.deepEqual([report?.ok, report?.step], [false, "link"], JSON.stringify(report));
      }
      const viaLink = tarOf(
        { name: "l", type: "2", linkName: `${guard}/secret` },
        { name: "h", type: "1", linkName: "l" },
        { name: "h", data: "replaces the link", mode: 0o777 },
        { name: "l", data: "replaces the link too", mode: 0o777 },
      );
      assert.equal((await runUnpack(build, root, ["unpack"], { input: viaLink })).report?.ok, true);
      check();
      assert.equal(readFileSync(path.join(root, "l"), "utf8"), "replaces the link too");
    });

    it("replaces what a later entry names again", async (t) => {
      const root = workDirectory(t);
      const input = tarOf(
        { name: "f", data: "long first content" },
        { name: "f", data: "second" },
        { name: "d/", type: "5" },
        { name: "d/inner/deep", data: "x" },
        { name: "d", data: "was a directory" },
        { name: "n", data: "x" },
        { name: "n/", type: "5", mode: 0o711 },
        { name: "n/in", data: "y" },
        { name: "s", type: "2", linkName: "f" },
        { name: "s", type: "6", mode: 0o600 },
        { name: "self", data: "me" },
        { name: "self", type: "1", linkName: "self" },
        { name: "dir/", type: "5", mode: 0o700 },
        { name: "dir/kept", data: "k" },
        { name: "dir/", type: "5", mode: 0o755, uid: 5 },
      );
      const { report } = await runUnpack(build, root, ["unpack"], { input });
      assert.equal(report?.ok, true, JSON.stringify(report));
      assert.equal(readFileSync(path.join(root, "f"), "utf8"), "second");
      assert.equal(readFileSync(path.join(root, "d"), "utf8"), "was a directory");
      assert.equal(readFileSync(path.join(root, "n/in"), "utf8"), "y");
      assert.equal(readFileSync(path.join(root, "self"), "utf8"), "me");
      assert.ok(lstatSync(path.join(root, "s")).isFIFO());
      const dir = lstatSync(path.join(root, "dir"));
      assert.deepEqual(
        [dir.mode & 0o7777, dir.uid, readdirSync(path.join(root, "dir"))],
        [0o755, 5, ["kept"]],
      );
    });

    it("drops overlayfs' own attributes and keeps the others", async (t) => {
      const root = workDirectory(t);
      const input = tarOf({
        name: "d/",
        type: "5",
        pax: {
          "SCHILY.xattr.trusted.overlay.opaque": "y",
          "SCHILY.xattr.trusted.overlay.redirect": "/etc",
          "SCHILY.xattr.user.overlay.opaque": "y",
          "SCHILY.xattr.user.kept": Buffer.from([0, 1, 10, 61, 255]),
        },
      });
      assert.equal((await runUnpack(build, root, ["unpack"], { input })).report?.ok, true);
      assert.equal(
        sh("getfattr -d -m - -e hex d", root).trim(),
        "# file: d\nuser.kept=0x00010a3dff",
      );
    });

    it("makes missing parents 0755 root, or as the lower layers have them", async (t) => {
      const root = workDirectory(t);
      const lower = workDirectory(t);
      sh(
        "umask 0; mkdir -p top/mid && chown 3:4 top && chmod 1777 top && touch -d '2003-03-03' top; ln -s / other",
        lower,
      );
      const input = tarOf(
        { name: "top/mid/f", data: "x" },
        { name: "new/f", data: "y" },
        { name: "other/f", data: "z" },
      );
      const { report } = await runUnpack(build, root, ["unpack", "--lowers", "2"], {
        input,
        extra: [workDirectory(t), lower],
      });
      assert.equal(report?.ok, true, JSON.stringify(report));
      const shown = sh("find . -mindepth 1 -type d -printf '%P %m %U %G\\n' | LC_ALL=C sort", root);
      assert.equal(shown, "new 755 0 0\nother 755 0 0\ntop 1777 3 4\ntop/mid 777 0 0\n");
      assert.equal(lstatSync(path.join(root, "top")).mtime.getFullYear(), 2003);
    });

    it("tells of an entry that Docker has no file for in its words", async (t) => {
      for (const [type, code] of [
        ["Z", 90],
        ["7", 55],
      ] as const) {
        const input = tarOf({ name: "ok" }, { name: "odd", type, data: "x" });
        const { report } = await runUnpack(build, workDirectory(t), ["unpack"], { input });
        assert.equal(report?.message, `unhandled tar header type ${String(code)}`);
      }
    });

    it("looks at lower layers that are still being unpacked only when it is told to, and then", async (t) => {
      const lower = workDirectory(t);
      const go = path.join(workDirectory(t), "go");
      writeFileSync(go, "\n");
      sh("mkdir -m 711 top", lower);
      const args = ["unpack", "--await-lowers", "--lowers", "1"];
      const unpack = (input: Buffer, from: string, root: string) =>
        runUnpack(build, root, args, { input, extra: [from, lower] });
      const without = tarOf({ name: "top/f", data: "x" });
      const root = workDirectory(t);
      assert.equal((await unpack(without, go, root)).report?.ok, true);
      assert.equal(lstatSync(path.join(root, "top")).mode & 0o7777, 0o711);
      const { report } = await unpack(without, "/dev/null", workDirectory(t));
      assert.equal(report?.message, "the lower layers were given up");
      // A layer that says what its directories look like needs no other.
      const complete = tarOf({ name: "top", type: "5", mode: 0o700 }, { name: "top/f", data: "x" });
      const own = workDirectory(t);
      assert.equal((await unpack(complete, "/dev/null", own)).report?.ok, true);
      assert.equal(lstatSync(path.join(own, "top")).mode & 0o7777, 0o700);
      const later = tarOf({ name: "top/f", data: "x" }, { name: "top", type: "5", mode: 0o700 });
      const last = workDirectory(t);
      assert.equal((await unpack(later, "/dev/null", last)).report?.ok, true);
      assert.equal(lstatSync(path.join(last, "top")).mode & 0o7777, 0o700);
    });

    it("makes the place that a dangling link on the way leads to", async (t) => {
      const { root, check } = guardedRoot(t);
      const input = tarOf(
        { name: "l", type: "2", linkName: "/usr/lib" },
        { name: "l/file", data: "x" },
        { name: "loop", type: "2", linkName: "loop" },
        { name: "r", type: "2", linkName: "../guard/new" },
        { name: "r/file", data: "x" },
      );
      assert.equal((await runUnpack(build, root, ["unpack"], { input })).report?.ok, true);
      assert.equal(readFileSync(path.join(root, "usr/lib/file"), "utf8"), "x");
      assert.equal(readlinkSync(path.join(root, "l")), "/usr/lib");
      check();
      const loop = tarOf(
        { name: "a", type: "2", linkName: "b" },
        { name: "b", type: "2", linkName: "a" },
        { name: "a/f" },
      );
      assert.equal((await runUnpack(build, root, ["unpack"], { input: loop })).report?.errno, 40);
    });

    it("stops at each limit and says so", async (t) => {
      const cases: [string[], Buffer, RegExp][] = [
        [
          ["--max-bytes", "100000"],
          tarOf({ name: "f", data: Buffer.alloc(200_000) }),
          /larger than 100000 bytes/,
        ],
        [
          ["--max-entries", "2"],
          tarOf({ name: "a" }, { name: "b" }, { name: "c" }),
          /more than 2 entries/,
        ],
        [["--max-entries", "20"], tarOf({ name: "d/".repeat(40) + "f" }), /more than 20 entries/],
        [["--max-ratio", "100"], gzipSync(Buffer.alloc(80 << 20)), /more than 100 times larger/],
      ];
      for (const [limit, input, text] of cases) {
        const { report, exitCode } = await runUnpack(
          build,
          workDirectory(t),
          ["unpack", ...limit],
          { input },
        );
        assert.deepEqual(
          [report?.ok, report?.step, exitCode],
          [false, "limit", 1],
          JSON.stringify(report),
        );
        assert.match(report?.message ?? "", text);
      }
    });

    const malformed: Record<string, Buffer> = {
      "no archive at all": Buffer.from("this is not a tar file".repeat(100)),
      "a wrong checksum": tarOf({ name: "f", badChecksum: true }),
      "a lone zero block in the middle": Buffer.concat([Buffer.alloc(512), tarOf({ name: "f" })]),
      "an unknown type": tarOf({ name: "f", type: "Z" }),
      "a file that is cut off": tarOf({ name: "f", size: 1_000_000 }).subarray(0, 5000),
      "a negative size": tarOf({ name: "f", patch: (h) => h.fill(0xff, 124, 136) }),
      "a size that is no number": tarOf({ name: "f", patch: (h) => h.write("12x4567", 124) }),
      "a size beyond 63 bits": tarOf({ name: "f", pax: { size: "9223372036854775808" } }),
      "uid -1": tarOf({ name: "f", uid: 0xffff_ffff }),
      "a uid beyond 32 bits": tarOf({ name: "f", pax: { uid: "4294967296" } }),
      "a uid that is no number": tarOf({ name: "f", pax: { uid: "0x10" } }),
      "a negative gid": tarOf({ name: "f", patch: (h) => h.fill(0xff, 116, 124) }),
      "a PAX record longer than its header": tarOf(
        { name: "x", type: "x", data: "99 path=a\n" },
        { name: "f" },
      ),
      "a PAX record of length 0": tarOf(
        { name: "x", type: "x", data: "0 path=a\n" },
        { name: "f" },
      ),
      "a PAX record without a key": tarOf({ name: "x", type: "x", data: "6 =ab\n" }, { name: "f" }),
      "a PAX header of 2 MiB": tarOf({ name: "x", type: "x", size: 2 << 20 }),
      "a NUL in a PAX path": tarOf({ name: "f", pax: { path: "a\0b" } }),
      "an xattr without a name": tarOf({ name: "f", pax: { "SCHILY.xattr.": "v" } }),
      "overlapping sparse runs": tarOf({
        name: "f",
        data: Buffer.alloc(20),
        pax: { "GNU.sparse.size": "100", "GNU.sparse.map": "0,10,5,10" },
      }),
      "a sparse run beyond the file": tarOf({
        name: "f",
        data: Buffer.alloc(10),
        pax: { "GNU.sparse.size": "100", "GNU.sparse.map": "95,10" },
      }),
      "a sparse map longer than the data": tarOf({
        name: "f",
        data: padded(Buffer.from("99999999\n")),
        pax: { "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "5" },
      }),
      "sparse runs that wrap around": tarOf({
        name: "f",
        data: Buffer.alloc(10),
        pax: {
          "GNU.sparse.size": "9223372036854775807",
          "GNU.sparse.map": "18446744073709551615,10",
        },
      }),
      "an old sparse header in a PAX archive": tarOf({ name: "f", type: "S" }),
      "a path of 5000 bytes": tarOf({ name: "f", pax: { path: "p/".repeat(2500) + "f" } }),
      "a name of 300 bytes": tarOf({ name: "f", pax: { path: "n".repeat(300) } }),
      "a file in place of the top": tarOf({ name: "./" }),
      "a link to nothing": tarOf({ name: "l", type: "2" }),
      "a hard link to the top": tarOf({ name: "l", type: "1", linkName: "/" }),
      "a file below a file": tarOf({ name: "f" }, { name: "f/g" }),
    };
    for (const [what, input] of Object.entries(malformed)) {
      it(`refuses ${what}`, async (t) => {
        const { root, check } = guardedRoot(t);
        const outcome = await runUnpack(build, root, ["unpack", "--compression", "none"], {
          input,
        });
        assert.deepEqual(
          [outcome.exitCode, outcome.report?.ok],
          [1, false],
          JSON.stringify(outcome),
        );
        assert.notEqual(outcome.report?.message, "");
        check();
      });
    }

    it("keeps its memory small whatever the archive asks for", async (t) => {
      // 600 MB of zeros in 600 kB, with a window as large as zstd has.
      const work = workDirectory(t);
      sh("head -c 600000000 /dev/zero | zstd -q --ultra -22 -o bomb.zst", work);
      const bomb = readFileSync(path.join(work, "bomb.zst"));
      const running = startUnpack(build, workDirectory(t), ["unpack", "--max-bytes", "500000000"]);
      const peak = () =>
        /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${running.child.pid}/status`, "utf8"))?.[1] ?? 0;
      let seen = 0;
      const timer = setInterval(() => {
        try {
          seen = Math.max(seen, Number(peak()));
        } catch {
          // It has ended.
        }
      }, 5);
      running.stdin.end(bomb);
      const { report } = await running.outcome;
      clearInterval(timer);
      // 500 MB of zero blocks are an empty archive, so it is the limit that ends it.
      assert.equal(report?.step, "limit");
      if (build === "build") assert.ok(seen < 200_000, `peak ${seen} kB`);
    });

    it("refuses a wrong command line without a report", async (t) => {
      for (const args of [
        ["dance"],
        ["unpack", "--max-bytes"],
        ["unpack", "--max-bytes", "-1"],
        ["apply", "--chown", "4294967295:0"],
      ]) {
        const outcome = await runUnpack(build, workDirectory(t), args);
        assert.deepEqual([outcome.exitCode, outcome.report], [2, undefined]);
        assert.match(outcome.stderr, /^unpack: /);
      }
    });
  });
}
