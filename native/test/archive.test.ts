// The unpack program's other modes: apply and stat (docker cp), pack (cp, export, commit), changes (diff).
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import {
  copyFileSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import { gunzipSync, gzipSync, inflateRawSync } from "node:zlib";
import { debianProgram } from "@gantry/testkit/debian";
import { makeRichTree } from "./rich-tree.ts";
import { tarOf } from "./tar-bytes.ts";
import {
  builds,
  describeTree,
  makeDirectory,
  type Outcome,
  runUnpack,
  sh,
  startUnpack,
} from "./unpack-program.ts";

assert.ok(process.getuid?.() === 0, "the unpack program's tests need root");
assert.ok(builds.length > 0, "build the unpack program first: make -C native all asan");

function workDirectory(t: TestContext): string {
  const made = makeDirectory();
  t.after(made.remove);
  return made.path;
}

function makeRoot(t: TestContext, script = "true"): string {
  const root = path.join(workDirectory(t), "root");
  mkdirSync(root);
  sh(`umask 022; ${script}`, root);
  return root;
}

function sha256(data: Buffer): string {
  return `sha256:${createHash("sha256").update(data).digest("hex")}`;
}

function succeeded(outcome: Outcome): Outcome {
  assert.deepEqual(
    [outcome.exitCode, outcome.report?.ok],
    [0, true],
    JSON.stringify({ ...outcome, stdout: "" }),
  );
  return outcome;
}

/** The names in an archive, as GNU tar lists them. */
function names(t: TestContext, archive: Buffer): string[] {
  const work = workDirectory(t);
  writeFileSync(path.join(work, "a.tar"), archive);
  return sh("tar -tf a.tar", work).trimEnd().split("\n");
}

for (const build of builds) {
  describe(`unpack apply (${build})`, () => {
    it("extracts into a directory of the root, whatever links lead there", async (t) => {
      const root = makeRoot(
        t,
        "mkdir -p usr/lib && ln -s /usr/lib lib && ln -s ../../../../../lib up && touch usr/lib/old",
      );
      for (const [i, target] of ["/usr/lib", "/lib", "up", "/lib/"].entries()) {
        const input = gzipSync(
          tarOf({ name: `d${i}/f`, data: "x", uid: 5, mode: 0o4711 }, { name: "old", data: "new" }),
        );
        succeeded(await runUnpack(build, root, ["apply", "--path", target], { input }));
        const file = lstatSync(path.join(root, `usr/lib/d${i}/f`));
        assert.deepEqual([file.uid, file.mode & 0o7777], [5, 0o4711]);
      }
      assert.equal(readFileSync(path.join(root, "usr/lib/old"), "utf8"), "new");
    });

    it("says when there is no such directory", async (t) => {
      const root = makeRoot(t, "touch file && ln -s nowhere dangling");
      for (const [target, errno] of [
        ["/none", 2],
        ["/file", 20],
        ["/dangling", 2],
        ["/file/x", 20],
      ] as const) {
        const { report } = await runUnpack(build, root, ["apply", "--path", target], {
          input: tarOf(),
        });
        assert.deepEqual([report?.ok, report?.step, report?.errno], [false, "path", errno], target);
      }
    });

    it("takes whiteout names literally and keeps the directory's own metadata", async (t) => {
      const root = makeRoot(t, "mkdir -m 0701 d");
      const input = tarOf(
        { name: "./", type: "5", mode: 0o777, uid: 9 },
        { name: "./.wh.x", data: "text" },
      );
      succeeded(await runUnpack(build, root, ["apply", "--path", "/d"], { input }));
      assert.equal(readFileSync(path.join(root, "d/.wh.x"), "utf8"), "text");
      const d = lstatSync(path.join(root, "d"));
      assert.deepEqual([d.mode & 0o777, d.uid], [0o701, 0]);
    });

    it("refuses names that climb out of the directory, and follows links within the root", async (t) => {
      const root = makeRoot(
        t,
        "mkdir d other && ln -s /other d/abs && ln -s ../other d/rel && ln -s /../../../tmp d/out && mkdir tmp",
      );
      for (const name of ["../other/f", "a/../../other/f", ".."]) {
        const { report } = await runUnpack(build, root, ["apply", "--path", "/d"], {
          input: tarOf({ name, data: "x" }),
        });
        assert.deepEqual([report?.step, report?.message], ["path", `"${name}" is outside of "/d"`]);
      }
      const hard = await runUnpack(build, root, ["apply", "--path", "/d"], {
        input: tarOf({ name: "h", type: "1", linkName: "../other/f" }),
      });
      assert.equal(hard.report?.message, 'invalid hardlink "h" -> "../other/f"');
      const input = tarOf(
        { name: "abs/a", data: "1" },
        { name: "rel/r", data: "2" },
        { name: "out/gantry-escape", data: "3" },
      );
      succeeded(await runUnpack(build, root, ["apply", "--path", "/d"], { input }));
      assert.deepEqual(readdirSync(path.join(root, "other")).sort(), ["a", "r"]);
      assert.deepEqual(readdirSync(path.join(root, "tmp")), ["gantry-escape"]);
      assert.throws(() => lstatSync("/tmp/gantry-escape"));
    });

    it("keeps directories and others apart when told to, in Docker's words", async (t) => {
      const root = makeRoot(t, "mkdir -p d/dir d/full && touch d/file d/full/x");
      const flags = ["apply", "--path", "/d", "--no-overwrite-dir-non-dir"];
      const over = await runUnpack(build, root, flags, {
        input: tarOf({ name: "dir", data: "x" }),
      });
      assert.equal(
        over.report?.message,
        'cannot overwrite directory "/d/dir" with non-directory "/d"',
      );
      const under = await runUnpack(build, root, flags, {
        input: tarOf({ name: "file/", type: "5" }),
      });
      assert.equal(
        under.report?.message,
        'cannot overwrite non-directory "/d/file" with directory "/d"',
      );
      succeeded(
        await runUnpack(build, root, ["apply", "--path", "/d"], {
          input: tarOf({ name: "full", data: "x" }, { name: "file/", type: "5" }),
        }),
      );
      assert.ok(lstatSync(path.join(root, "d/full")).isFile());
      assert.ok(lstatSync(path.join(root, "d/file")).isDirectory());
    });

    it("gives everything to one owner when told to", async (t) => {
      const root = makeRoot(t);
      const input = tarOf(
        { name: "d/", type: "5" },
        { name: "d/f", data: "x", uid: 1, gid: 2 },
        { name: "l", type: "2", linkName: "f" },
      );
      succeeded(
        await runUnpack(build, root, ["apply", "--path", "/", "--chown", "1000:4000000000"], {
          input,
        }),
      );
      assert.equal(
        sh("find . -mindepth 1 -printf '%P %U %G\\n' | sort", root),
        "d 1000 4000000000\nd/f 1000 4000000000\nl 1000 4000000000\n",
      );
    });

    it("works in the mount namespace of a running container, with its volumes", async (t) => {
      const work = workDirectory(t);
      sh("mkdir -p root/vol root/data root/proc root/old", work);
      copyFileSync(
        await debianProgram("busybox-static", "/bin/busybox"),
        path.join(work, "root/busybox"),
      );
      sh("chmod 755 root/busybox", work);
      const script = `mount --bind root root && mount -t tmpfs volume root/vol && mount -t proc proc root/proc && cd root && pivot_root . old && /busybox umount -l old && echo ready && /busybox cat`;
      const holder = spawn("unshare", ["--mount", "/bin/sh", "-ec", script], {
        cwd: work,
        stdio: ["pipe", "pipe", "inherit"],
      });
      const ended = once(holder, "exit");
      t.after(async () => {
        holder.stdin.end();
        await ended;
      });
      const [first] = await Promise.race([once(holder.stdout, "data"), ended]);
      assert.equal(String(first), "ready\n");
      const namespace = `/proc/${holder.pid}/ns/mnt`;
      const seen = `/proc/${holder.pid}/root`;
      const input = tarOf(
        { name: "vol/in-volume", data: "v" },
        { name: "data/in-root", data: "r" },
      );
      const args = ["apply", "--path", "/", "--mntns", "--with-mounts"];
      succeeded(await runUnpack(build, work, args, { input, extra: [namespace] }));
      assert.deepEqual(
        [readdirSync(`${seen}/vol`), readdirSync(path.join(work, "root/vol"))],
        [["in-volume"], []],
      );
      assert.deepEqual(readdirSync(path.join(work, "root/data")), ["in-root"]);
      const packed = succeeded(
        await runUnpack(
          build,
          work,
          ["pack", "--path", "/vol", "--name", "vol", "--mntns", "--with-mounts"],
          { extra: [namespace] },
        ),
      );
      assert.deepEqual(names(t, packed.stdout), ["vol/", "vol/in-volume"]);
      const without = succeeded(
        await runUnpack(build, work, ["pack", "--mntns"], { extra: [namespace] }),
      );
      assert.deepEqual(names(t, without.stdout), [
        "busybox",
        "data/",
        "data/in-root",
        "old/",
        "proc/",
        "vol/",
      ]);
      const magic = await runUnpack(
        build,
        work,
        ["stat", "--path", "/proc/self/root/x", "--mntns", "--with-mounts"],
        { extra: [namespace] },
      );
      assert.equal(magic.report?.ok, false);
      assert.equal(sh("cat /proc/self/mountinfo", work).includes(work), false);
    });
  });

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

  describe(`unpack apply --chown-user (${build})`, () => {
    it("looks users and groups up in the root's own files, whatever they are", async (t) => {
      const root = makeRoot(
        t,
        "mkdir etc && printf 'app:x:70:71::/:/bin/sh\\n' > etc/passwd && printf 'app:x:71:\\nwheel:x:10:\\n' > etc/group",
      );
      const ownerFor = async (user: string): Promise<number[] | string | undefined> => {
        const args = ["apply", "--path", "/", "--chown-user", user];
        const ran = await runUnpack(build, root, args, { input: tarOf({ name: "f", data: "x" }) });
        if (ran.exitCode !== 0) return ran.report?.message;
        const file = lstatSync(path.join(root, "f"));
        return [file.uid, file.gid];
      };
      assert.deepEqual(await ownerFor("app"), [70, 71]);
      assert.deepEqual(await ownerFor("app:wheel"), [70, 10]);
      assert.deepEqual(await ownerFor("1234"), [1234, 0]);
      assert.deepEqual(await ownerFor("1234:5"), [1234, 5]);
      assert.match(
        String(await ownerFor("nobody")),
        /unable to find user nobody: no matching entries in passwd file/,
      );
      sh("rm etc/passwd && ln -s /proc/self/status etc/passwd && mkfifo etc/fifo", root);
      assert.match(String(await ownerFor("app")), /unable to find user app/);
      sh("rm etc/passwd && mv etc/fifo etc/passwd", root);
      assert.match(String(await ownerFor("app")), /unable to find user app/);
    });
  });

  describe(`unpack stat (${build})`, () => {
    it("describes the path itself and where a link leads", async (t) => {
      const root = makeRoot(
        t,
        "mkdir -p a/b && printf 12345 > a/b/f && chmod 4755 a/b/f && touch -d '2001-02-03T04:05:06.7Z' a/b/f && ln -s /a/b abs && ln -s ../abs/f a/chain && ln -s gone/x dangling && ln -s loop loop && ln -s ../../../a up",
      );
      const stat = async (target: string) =>
        (await runUnpack(build, root, ["stat", "--path", target])).report;
      assert.deepEqual(await stat("/abs/f"), {
        ok: true,
        name: "f",
        size: 5,
        mode: 0o104755,
        uid: 0,
        gid: 0,
        mtimeSeconds: 981173106,
        mtimeNanoseconds: 700000000,
        linkTarget: "",
        resolved: "/a/b/f",
      });
      assert.equal((await stat("/up/../abs/none"))?.["resolved"], undefined);
      assert.equal((await stat("/up/b/../../abs"))?.["resolved"], "/a/b");
      const links = { "/abs": "/a/b", "a/chain": "/a/b/f", "/dangling": "/gone/x", "/up": "/a" };
      for (const [target, expected] of Object.entries(links)) {
        const report = await stat(target);
        assert.deepEqual(
          [report?.["linkTarget"], Number(report?.["mode"]) >> 12],
          [expected, 0o12],
          target,
        );
      }
      for (const [target, name] of [
        ["/abs/", "abs"],
        ["/a/b/.", "."],
        ["/", "/"],
      ] as const) {
        const report = await stat(target);
        assert.deepEqual([report?.["name"], Number(report?.["mode"]) >> 12], [name, 0o4], target);
      }
      assert.deepEqual(
        [
          (await stat("/none"))?.errno,
          (await stat("/loop"))?.errno,
          (await stat("/a/b/f/"))?.errno,
        ],
        [2, 40, 20],
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
