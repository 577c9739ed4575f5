/** `unpack apply` and `unpack stat`: docker cp into a container, and what is there. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, lstatSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import { gzipSync } from "node:zlib";
import { debianProgram } from "@gantry/testkit/debian";
import { tarOf } from "./tar-bytes.ts";
import { builds, makeRoot, runUnpack, sh, succeeded, workDirectory } from "./unpack-program.ts";

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

    it("and another one of the same names both succeed, and leave each whole", async (t) => {
      const root = makeRoot(t, "mkdir d");
      const entries = (data: string): Parameters<typeof tarOf> =>
        Array.from({ length: 3000 }, () => [
          { name: "file", data },
          { name: "link", type: "2", linkName: data },
          { name: "pipe", type: "6" },
          { name: "hard", type: "1", linkName: `own${data}` },
        ]).flat();
      const copies = ["one", "two"].map((data) =>
        runUnpack(build, root, ["apply", "--path", "/d"], {
          input: tarOf({ name: `own${data}`, data }, ...entries(data)),
        }),
      );
      for (const copy of copies) succeeded(await copy);
      assert.match(readFileSync(path.join(root, "d/file"), "utf8"), /^(?:one|two)$/);
      assert.match(readFileSync(path.join(root, "d/hard"), "utf8"), /^(?:one|two)$/);
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
      const hidden = succeeded(
        await runUnpack(
          build,
          work,
          ["pack", "--mntns", "--with-mounts", "--hide", "/proc", "--hide", "/nowhere"],
          { extra: [namespace] },
        ),
      );
      const found = names(t, hidden.stdout);
      assert.deepEqual(
        found.filter((name) => name.startsWith("proc/") || name.startsWith("vol/")),
        ["proc/", "vol/", "vol/in-volume"],
      );
      assert.ok(readdirSync(`${seen}/proc`).includes("version"), "the holder has lost its /proc");
      assert.equal(sh("cat /proc/self/mountinfo", work).includes(work), false);
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

  describe(`unpack user (${build})`, () => {
    it("finds users and groups in the root's own files, and says who is not there", async (t) => {
      const root = makeRoot(
        t,
        "mkdir etc && printf 'app:x:70:71::/:/bin/sh\\n' > etc/passwd && printf 'wheel:x:10:\\n' > etc/group",
      );
      const find = async (user: string): Promise<unknown> => {
        const { report } = await runUnpack(build, root, ["user", "--user", user]);
        return report?.ok === true ? report : [report?.step, report?.errno, report?.message];
      };
      assert.deepEqual(await find("app"), { ok: true, uid: 70, gid: 71 });
      assert.deepEqual(await find("app:wheel"), { ok: true, uid: 70, gid: 10 });
      assert.deepEqual(await find("nobody:10"), [
        "user",
        0,
        "unable to find user nobody: no matching entries in passwd file",
      ]);
      assert.deepEqual(await find("app:none"), [
        "user",
        0,
        "unable to find group none: no matching entries in group file",
      ]);
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
}
