/** `unpack pack`: the archives of cp, export and commit, and `unpack changes` for diff. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { lstatSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import { gunzipSync, inflateRawSync } from "node:zlib";
import { makeRichTree } from "./rich-tree.ts";
import { tarOf } from "./tar-bytes.ts";
import {
  builds,
  describeTree,
  makeRoot,
  runUnpack,
  sh,
  sha256,
  startUnpack,
  succeeded,
  workDirectory,
} from "./unpack-program.ts";

/** The names in an archive, as GNU tar lists them. */
function names(t: TestContext, archive: Buffer): string[] {
  const work = workDirectory(t);
  writeFileSync(path.join(work, "a.tar"), archive);
  return sh("tar -tf a.tar", work).trimEnd().split("\n");
}

for (const build of builds) {
  describe(`unpack pack (${build})`, () => {
    it("writes what GNU tar and unpack read back as it was", async (t) => {
      const source = makeRoot(t);
      makeRichTree(source);
      sh("setfattr -x trusted.kept a/b/big", source);
      const { stdout, report } = succeeded(
        await runUnpack(build, source, ["pack", "--name", ".", "--digest"]),
      );
      assert.deepEqual(
        [report?.["diffId"], report?.["digest"], report?.["uncompressedBytes"]],
        [sha256(stdout), sha256(stdout), stdout.length],
      );
      const byTar = makeRoot(t);
      writeFileSync(path.join(byTar, "../a.tar"), stdout);
      sh("tar --xattrs --xattrs-include='*' --same-owner -p -xf ../a.tar", byTar);
      assert.equal(describeTree(byTar), describeTree(source));
      const byUs = makeRoot(t);
      succeeded(await runUnpack(build, byUs, ["unpack"], { input: stdout }));
      assert.equal(describeTree(byUs), describeTree(source));
    });

    it("is the exact inverse of unpacking a layer", async (t) => {
      const first = makeRoot(t);
      const layer = tarOf(
        { name: "opaque/", type: "5", mode: 0o711 },
        { name: "opaque/.wh..wh..opq" },
        { name: "opaque/.wh.and-this" },
        {
          name: "plain/",
          type: "5",
          pax: {
            "SCHILY.xattr.user.x": "1",
            "SCHILY.xattr.trusted.y": "2",
            mtime: "1234567890.123456789",
          },
        },
        { name: "plain/.wh.gone" },
        { name: ".wh.top" },
        { name: "file", data: "f", pax: { mtime: "-5.25" } },
      );
      succeeded(await runUnpack(build, first, ["unpack"], { input: layer }));
      const packed = succeeded(
        await runUnpack(build, first, ["pack", "--overlay-upper", "--gzip"]),
      );
      const plain = gunzipSync(packed.stdout);
      assert.deepEqual(
        [packed.report?.["digest"], packed.report?.["diffId"]],
        [sha256(packed.stdout), sha256(plain)],
      );
      assert.deepEqual(
        [packed.report?.["compressedBytes"], packed.report?.["uncompressedBytes"]],
        [packed.stdout.length, plain.length],
      );
      assert.deepEqual(names(t, plain), [
        "file",
        "opaque/",
        "opaque/.wh..wh..opq",
        "opaque/.wh.and-this",
        "plain/",
        "plain/.wh.gone",
        ".wh.top",
      ]);
      const second = makeRoot(t);
      succeeded(await runUnpack(build, second, ["unpack"], { input: packed.stdout }));
      const withoutTop = (text: string) => text.replace(/^\|d\|.*$/m, "");
      assert.equal(withoutTop(describeTree(second)), withoutTop(describeTree(first)));
    });

    it("names things as docker cp wants them", async (t) => {
      const root = makeRoot(
        t,
        "mkdir -p a/b && echo x > a/b/f && ln -s /a/b link && ln -s f a/b/g && mkfifo a/p",
      );
      const cases: [string[], string[]][] = [
        [
          ["--path", "/a", "--name", "a"],
          ["a/", "a/b/", "a/b/f", "a/b/g", "a/p"],
        ],
        [
          ["--path", "/a/b/.", "--name", "."],
          ["./", "./f", "./g"],
        ],
        [
          ["--path", "/a/b"],
          ["f", "g"],
        ],
        [["--path", "/a/b/f", "--no-follow"], ["f"]],
        [["--path", "/link", "--no-follow"], ["link"]],
        [
          ["--path", "/link/", "--no-follow", "--name", "link"],
          ["link/", "link/f", "link/g"],
        ],
        [["--path", "/link/g", "--name", "renamed"], ["renamed"]],
        [["--path", "/a/p", "--no-follow"], ["p"]],
      ];
      for (const [args, expected] of cases) {
        const { stdout } = succeeded(await runUnpack(build, root, ["pack", ...args]));
        assert.deepEqual(names(t, stdout), expected, args.join(" "));
      }
      for (const [target, errno] of [
        ["/none", 2],
        ["/a/b/f/", 20],
        ["/../../../etc/passwd", 2],
      ] as const) {
        const { report } = await runUnpack(build, root, ["pack", "--path", target, "--no-follow"]);
        assert.deepEqual([report?.step, report?.errno], ["path", errno], target);
      }
    });

    it("compresses block by block into one gzip member, the same bytes each time", async (t) => {
      const root = makeRoot(t);
      // Around the size of a block, and what compresses well and not at all.
      const sizes = [1, 512, (1 << 20) - 512, 1 << 20, (1 << 20) + 1, 7_654_321];
      for (const [index, size] of sizes.entries()) {
        const content = index % 2 === 0 ? Buffer.alloc(size, "text ") : randomBytes(size);
        writeFileSync(path.join(root, String(index)), content);
      }
      const packed = succeeded(await runUnpack(build, root, ["pack", "--gzip"]));
      const again = succeeded(await runUnpack(build, root, ["pack", "--gzip"]));
      assert.equal(sha256(packed.stdout), sha256(again.stdout));
      const plain = succeeded(await runUnpack(build, root, ["pack"]));
      const inflated = gunzipSync(packed.stdout);
      assert.equal(sha256(inflated), sha256(plain.stdout));
      assert.deepEqual(
        [packed.report?.["digest"], packed.report?.["diffId"]],
        [sha256(packed.stdout), sha256(inflated)],
      );
      // One deflate stream between head and trailer: who reads the first member only has everything.
      const whole = inflateRawSync(packed.stdout.subarray(10, -8));
      assert.equal(whole.length, inflated.length);
    });

    it("ends with an error on a tree that is too deep to walk", async (t) => {
      const root = makeRoot(t);
      sh(`perl -e 'for (1..4500) { mkdir "d" or die; chdir "d" or die }'`, root);
      const { report } = await runUnpack(build, root, ["pack", "--gzip"]);
      assert.deepEqual(
        [report?.ok, report?.errno],
        [false, 24],
        JSON.stringify(report).slice(-300),
      );
    });

    it("refuses an upper directory that an archive cannot express", async (t) => {
      const root = makeRoot(t, "mkdir d && setfattr -n trusted.overlay.redirect -v /elsewhere d");
      const { report } = await runUnpack(build, root, ["pack", "--overlay-upper"]);
      assert.deepEqual([report?.step, report?.path], ["overlay", "d"]);
    });

    it("leaves the tree as it was, times of access too", async (t) => {
      const root = makeRoot(t, "echo x > f && touch -a -d '2001-01-01' f");
      succeeded(await runUnpack(build, root, ["pack"]));
      assert.equal(lstatSync(path.join(root, "f")).atime.getFullYear(), 2001);
    });

    it("ends when its reader goes", async (t) => {
      const root = makeRoot(t, "head -c 50000000 /dev/zero > f");
      const running = startUnpack(build, root, ["pack"]);
      running.stdin.end();
      await once(running.stdout, "readable");
      running.stdout.destroy();
      const { report, exitCode } = await running.outcome;
      assert.deepEqual([exitCode, report?.step, report?.errno], [1, "send", 32]);
    });

    it("splits and spells out names of every length", async (t) => {
      const root = makeRoot(t);
      for (let length = 95; length <= 105; length++)
        writeFileSync(path.join(root, "n".repeat(length)), "");
      const deep = "d".repeat(50);
      sh(
        `mkdir -p ${deep}/${deep}/${deep}/${deep}/${deep}/${deep} && touch ${deep}/${deep}/${deep}/${"x".repeat(98)}`,
        root,
      );
      for (let length = 98; length <= 102; length++)
        symlinkSync("t".repeat(length), path.join(root, `link${length}`));
      const { stdout } = succeeded(await runUnpack(build, root, ["pack"]));
      const target = makeRoot(t);
      writeFileSync(path.join(target, "../a.tar"), stdout);
      sh("tar -xf ../a.tar", target);
      assert.equal(
        sh("find . -mindepth 1 -printf '%P %l\\n' | sort", target),
        sh("find . -mindepth 1 -printf '%P %l\\n' | sort", root),
      );
    });
  });

  describe(`unpack changes (${build})`, () => {
    it("lists what a container changed", async (t) => {
      const work = workDirectory(t);
      sh(
        `mkdir lower upper work merged && cd lower && mkdir -p etc/keep dir/sub replaced empty && echo 1 > etc/passwd && echo 2 > gone && echo 3 > dir/a && echo 4 > dir/sub/b && echo 5 > replaced/in
         cd .. && mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work overlay merged && cd merged
         echo more >> etc/passwd; rm gone; rm -r dir/sub; mkdir new && echo x > new/f; rm -r replaced && mkdir replaced && echo y > replaced/other
         touch empty/t && rm empty/t && touch -r ../lower/empty empty; chmod 0700 etc/keep
         cd .. && umount merged`,
        work,
      );
      const { lines } = succeeded(
        await runUnpack(build, path.join(work, "upper"), ["changes", "--lowers", "1"], {
          extra: [path.join(work, "lower")],
        }),
      );
      assert.deepEqual(
        lines.slice(0, -1).map((line) => `${String(line["kind"])} ${line.path}`),
        [
          "0 /dir",
          "2 /dir/sub",
          "0 /etc",
          "0 /etc/keep",
          "0 /etc/passwd",
          "2 /gone",
          "1 /new",
          "1 /new/f",
          "0 /replaced",
          "2 /replaced/in",
          "1 /replaced/other",
        ],
      );
      assert.equal(lines.at(-1)?.["changes"], 11);
    });
  });
}
