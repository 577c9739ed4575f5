/** `docker cp` and the archive endpoints: exact both ways, in Docker's words, and never outside of the container. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { lstat, mkdir, readFile, readlink, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { makeDockerArchive, makeImage, makeLayer } from "@gantry/testkit/image-maker";
import { mustRun } from "@gantry/testkit/run";
import { TestEngine } from "@gantry/testkit/test-engine";
import { untilPasses } from "@gantry/testkit/until-passes";
import { ask, messageOf } from "../src/http.ts";

let engine: TestEngine;
/** A folder of this machine for files of the tests. */
let work: string;
before(async () => {
  engine = await TestEngine.start();
  work = path.join(engine.root, "work");
  await mkdir(work);
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

const docker = async (...args: string[]): Promise<string> => await engine.docker(args);
const sh = async (script: string, cwd = work): Promise<string> =>
  (await mustRun(["sh", "-ec", script], { cwd, env: engine.clientEnv() })).stdout;

/** Mounts of this engine on the host: others of the machine have theirs. */
async function hostMounts(): Promise<string[]> {
  return (await readFile("/proc/self/mountinfo", "utf8"))
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((target) => target.startsWith(engine.root));
}

/** A running container's root, seen from this machine. */
async function rootOf(container: string): Promise<string> {
  return `/proc/${await docker("inspect", "-f", "{{.State.Pid}}", container)}/root`;
}

const exactTar =
  "tar --sort=name --numeric-owner --format=posix --pax-option=delete=atime,delete=ctime --xattrs --xattrs-include='*'";

/** Of everything about a tree: names, contents, owners, modes, times, links, extended attributes. */
async function digestOf(folder: string): Promise<string> {
  return (await sh(`${exactTar} -C "${folder}" -c . | sha256sum`)).trim();
}

/** Fills a folder with one of everything. */
async function makeRichTree(folder: string): Promise<void> {
  await mkdir(folder);
  await sh(
    `
    umask 022
    mkdir -p sub/deep private sticky && chmod 700 private && chmod 1777 sticky
    echo one > sub/one && chown 1234:4321 sub/one && chmod 640 sub/one
    echo set > setuid && chown 7:8 setuid && chmod 6755 setuid
    ln sub/one sub/hard && ln -s one sub/relative && ln -s /etc/passwd absolute && ln -s nowhere dangling
    ln -s ../../../../../../etc/passwd climbing
    mkfifo pipe && mknod null c 1 3 && chmod 666 null
    truncate -s 32M sparse && printf start | dd of=sparse conv=notrunc status=none
    printf end | dd of=sparse bs=1 seek=33554429 conv=notrunc status=none
    : > "a name with spaces" && : > ümläut && : > "$(printf 'x%.0s' $(seq 120))" && echo deep > sub/deep/file
    find . -exec touch -h -d '2001-02-03 04:05:06.789012345' {} +
    `,
    folder,
  );
  await setXattr(path.join(folder, "sub/one"), "user.colour", "blue");
}

async function setXattr(file: string, name: string, value: string): Promise<void> {
  await mustRun([
    "python3",
    "-c",
    "import os,sys; os.setxattr(*sys.argv[1:3], sys.argv[3].encode())",
    file,
    name,
    value,
  ]);
}

describe("a tree through standard input and output", () => {
  const into = [
    ["a running container", "/srv", []],
    ["a volume", "/volume", ["-v", "copied:/volume"]],
    ["a tmpfs", "/memory", ["--tmpfs", "/memory"]],
  ] as const;
  for (const [what, target, args] of into) {
    it(`comes out of ${what} exactly as it went in`, async () => {
      const from = path.join(work, `from${target.replaceAll("/", "-")}`);
      await makeRichTree(from);
      const id = await docker(
        "run",
        "-d",
        ...args,
        "busybox",
        "sh",
        "-c",
        "mkdir -p /srv; exec sleep 1000",
      );
      await sh(`${exactTar} -S -C ${from} -cf ${from}.tar .`);
      await mustRun(["sh", "-ec", `docker cp - ${id}:${target} < ${from}.tar`], {
        env: engine.clientEnv(),
      });
      const inside = `${await rootOf(id)}${target}`;
      // The directory itself was there before, with attributes of its own.
      const contents = async (folder: string): Promise<string> =>
        await sh(`${exactTar} -c -- * | sha256sum`, folder);
      assert.equal(await contents(inside), await contents(from));
      const sparse = await stat(path.join(inside, "sparse"));
      assert.ok(sparse.blocks * 512 < 1024 * 1024, `holes became ${String(sparse.blocks)} blocks`);
      const back = path.join(work, `back${target.replaceAll("/", "-")}`);
      await mkdir(back);
      await mustRun(
        [
          "sh",
          "-ec",
          `docker cp ${id}:${target}/. - | tar --xattrs --xattrs-include='*' -x -C ${back}`,
        ],
        { env: engine.clientEnv() },
      );
      assert.equal(await contents(back), await contents(from));
      await docker("rm", "-f", id);
      await sh(`rm -rf ${from} ${back} ${from}.tar`);
    });
  }

  it("is the same from a container that has stopped, and goes into one that never ran", async () => {
    const from = path.join(work, "stopped");
    await makeRichTree(from);
    const id = await docker("create", "-v", "/volume", "busybox", "true");
    await sh(`${exactTar} -C ${from} -cf ${from}.tar .`);
    for (const target of ["/home", "/volume"]) {
      await mustRun(["sh", "-ec", `docker cp - ${id}:${target} < ${from}.tar`], {
        env: engine.clientEnv(),
      });
    }
    await docker("start", "-a", id);
    const digests: string[] = [];
    for (const target of ["/home", "/volume"]) {
      const back = path.join(work, `back${target.slice(1)}`);
      await mkdir(back);
      await mustRun(
        [
          "sh",
          "-ec",
          `docker cp ${id}:${target}/. - | tar --xattrs --xattrs-include='*' -x -C ${back}`,
        ],
        { env: engine.clientEnv() },
      );
      await sh(`touch -d '2001-02-03 04:05:06.789012345' ${back} && chmod 755 ${back}`);
      digests.push(await digestOf(back));
      await sh(`rm -rf ${back}`);
    }
    assert.deepEqual(digests, [await digestOf(from), await digestOf(from)]);
    await docker("rm", "-v", id);
    await sh(`rm -rf ${from} ${from}.tar`);
  });
});

describe("docker cp with paths", () => {
  let id: string;
  before(async () => {
    id = await docker(
      ...["run", "-d", "-v", "named:/data", "-v", `${work}/bound:/bound`, "busybox", "sh", "-c"],
      "mkdir /d && echo file > /d/f && ln -s /d /link && ln -s f /d/l && rmdir /var/run && ln -s /run /var/run && mkdir /run && exec sleep 1000",
    );
    await engine.docker(["exec", id, "sh", "-c", "until [ -d /run ]; do :; done"]);
    await mkdir(path.join(work, "in/below"), { recursive: true });
    await writeFile(path.join(work, "in/below/one"), "one");
    await writeFile(path.join(work, "single"), "single");
  });
  after(async () => {
    await docker("rm", "-f", "-v", id);
  });
  const inside = async (script: string): Promise<string> =>
    await docker("exec", id, "sh", "-c", script);

  it("copies a folder under its name, its content with /., and a file under a new name", async () => {
    await docker("cp", `${work}/in`, `${id}:/tmp`);
    await docker("cp", `${work}/in/.`, `${id}:/tmp/content`);
    await docker("cp", `${work}/single`, `${id}:/tmp/renamed`);
    assert.equal(
      await inside("cd /tmp; find . -type f | sort"),
      "./content/below/one\n./in/below/one\n./renamed",
    );
    await inside("rm -rf /tmp/*");
  });
  it("copies out likewise", async () => {
    await docker("cp", `${id}:/d`, `${work}/out`);
    await mkdir(path.join(work, "there"));
    await docker("cp", `${id}:/d`, `${work}/there`);
    await docker("cp", `${id}:/d/f`, `${work}/there/g`);
    assert.equal(await sh("find out there -type f | sort"), "out/f\nthere/d/f\nthere/g\n");
    assert.equal(await readlink(path.join(work, "out/l")), "f");
  });
  it("copies a link as a link, and what it leads to with -L", async () => {
    await docker("cp", `${id}:/d/l`, `${work}/as-link`);
    await docker("cp", "-L", `${id}:/d/l`, `${work}/followed`);
    await docker("cp", "-L", `${id}:/link`, `${work}/followed-folder`);
    assert.ok((await lstat(path.join(work, "as-link"))).isSymbolicLink());
    assert.equal(await readFile(path.join(work, "followed"), "utf8"), "file\n");
    assert.equal(await readFile(path.join(work, "followed-folder/f"), "utf8"), "file\n");
  });
  it("goes through links of the container: /var/run is /run", async () => {
    await docker("cp", `${work}/single`, `${id}:/var/run/pid`);
    assert.equal(await inside("cat /run/pid"), "single");
    await docker("cp", `${id}:/var/run/pid`, `${work}/pid`);
    assert.equal(await readFile(path.join(work, "pid"), "utf8"), "single");
    await docker("cp", `${work}/in`, `${id}:/link/`);
    assert.equal(await inside("cat /d/in/below/one"), "one");
  });
  it("reaches volumes and binds", async () => {
    await docker("cp", `${work}/single`, `${id}:/data/x`);
    await docker("cp", `${work}/single`, `${id}:/bound/x`);
    assert.equal(await docker("run", "--rm", "-v", "named:/v", "busybox", "cat", "/v/x"), "single");
    assert.equal(await readFile(path.join(work, "bound/x"), "utf8"), "single");
  });
  it("keeps numeric owners without -a, and gives files to the container's user with it", async () => {
    await sh("cp single owned && chown 1000:1001 owned");
    const user = await docker("run", "-d", "-u", "daemon:wheel", "busybox", "sleep", "1000");
    await docker("cp", `${work}/owned`, `${user}:/tmp/kept`);
    await docker("cp", "-a", `${work}/owned`, `${user}:/tmp/given`);
    assert.equal(
      await docker("exec", user, "stat", "-c", "%u:%g", "/tmp/kept", "/tmp/given"),
      "1000:1001\n1:10",
    );
    await docker("rm", "-f", user);
    const unknown = await docker("create", "-u", "nobody-knows", "busybox", "true");
    const refused = await engine.tryDocker(["cp", "-a", `${work}/owned`, `${unknown}:/tmp/x`]);
    assert.match(
      refused.stderr,
      /failed to look up user "nobody-knows" in container: no matching entries in passwd file/,
    );
    await docker("rm", unknown);
  });
  it("goes into the working directory of a container that never ran", async () => {
    const id = await docker("create", "-w", "/srv/app", "busybox", "cat", "page");
    await writeFile(path.join(work, "page"), "hello");
    await docker("cp", path.join(work, "page"), `${id}:/srv/app`);
    assert.equal(await docker("start", "-a", id), "hello");
    await docker("rm", id);
  });
  it("sees the hosts file of a container that has stopped, unless that has one of its own", async () => {
    const script = "cat /etc/hosts /etc/hostname";
    const id = await docker("run", "-d", "--hostname", "box", "busybox", "sh", "-c", script);
    await docker("wait", id);
    const seen = await docker("logs", id);
    const copied = await sh(
      `for f in hosts hostname; do docker cp ${id}:/etc/$f - | tar -xO; done`,
      work,
    );
    assert.equal(copied.trim(), seen);
    await docker("rm", id);
    const own = path.join(work, "own-hosts");
    await writeFile(own, "127.0.0.1 mine\n");
    const other = await docker("run", "-d", "-v", `${own}:/etc/hosts`, "busybox", "true");
    await docker("wait", other);
    const mine = await sh(`docker cp ${other}:/etc/hosts - | tar -xO`, work);
    assert.equal(mine, "127.0.0.1 mine\n");
    await docker("rm", other);
  });
  it("copies between a container's states without a trace on the host", async () => {
    const before = await hostMounts();
    const created = await docker(
      "create",
      "-v",
      "/made:/ro:ro",
      "-v",
      "other:/new/volume",
      "--mount",
      "type=volume,src=other,dst=/sub,volume-subpath=inner",
      "busybox",
    );
    await docker(
      "run",
      "--rm",
      "-v",
      "other:/v",
      "busybox",
      "sh",
      "-c",
      "mkdir /v/inner; echo deep > /v/inner/file",
    );
    await docker("cp", `${work}/single`, `${created}:/new/volume/one`);
    await docker("cp", `${created}:/sub/file`, `${work}/from-subpath`);
    assert.equal(await readFile(path.join(work, "from-subpath"), "utf8"), "deep\n");
    await docker("cp", `${work}/single`, `${created}:/sub/two`);
    assert.equal(
      await docker(
        "run",
        "--rm",
        "-v",
        "other:/v",
        "busybox",
        "sh",
        "-c",
        "cd /v; find . -type f | sort",
      ),
      "./inner/file\n./inner/two\n./one",
    );
    await docker("rm", created);
    await docker("volume", "rm", "other");
    // Those of earlier tests may go meanwhile.
    await untilPasses(async () => {
      const added = (await hostMounts()).filter((each) => !before.includes(each));
      assert.deepEqual(added, []);
    });
    await sh("rmdir /made");
  });
});

describe("bad copies", () => {
  it("through a link of the archive that leads out end inside of the container", async () => {
    const id = await docker("run", "-d", "busybox", "sleep", "1000");
    const name = `escaped-${path.basename(engine.root)}`;
    await sh(
      `mkdir -p out/real && echo mine > out/real/${name} && ln -s ../../../../../../tmp out/climbing && ` +
        `tar -C out -cf out.tar climbing && tar -C out --transform s/real/climbing/ -rf out.tar real/${name}`,
    );
    const answer = await ask(engine, {
      method: "PUT",
      path: `/v1.47/containers/${id}/archive?path=/home`,
      headers: { "content-type": "application/x-tar" },
      body: await readFile(path.join(work, "out.tar")),
    });
    assert.equal(answer.status, 200, answer.body);
    assert.equal(await docker("exec", id, "cat", `/tmp/${name}`), "mine");
    assert.equal(existsSync(`/tmp/${name}`), false);
    await docker("rm", "-f", id);
  });

  it("tells of an entry in whose place something is mounted", async () => {
    const id = await docker("run", "-d", "busybox", "sleep", "1000");
    await sh(
      "mkdir -p busy/etc && echo mine > busy/etc/hosts && tar -C busy -cf busy.tar etc/hosts",
    );
    const answer = await ask(engine, {
      method: "PUT",
      path: `/v1.47/containers/${id}/archive?path=/`,
      headers: { "content-type": "application/x-tar" },
      body: await readFile(path.join(work, "busy.tar")),
    });
    assert.deepEqual(
      [answer.status, messageOf(answer)],
      [500, "RemoveAll etc/hosts: device or resource busy"],
    );
    await docker("rm", "-f", id);
  });

  let id: string;
  before(async () => {
    id = await docker(
      "run",
      "-d",
      "--read-only",
      "-v",
      "readonly:/ro:ro",
      "-v",
      "writable:/rw",
      "busybox",
      "sleep",
      "1000",
    );
    await writeFile(path.join(work, "bad"), "bad");
  });
  after(async () => {
    await docker("rm", "-f", id);
    await docker("volume", "rm", "readonly", "writable");
  });
  const cases: readonly [string, () => string[], RegExp][] = [
    [
      "out of a missing path",
      () => ["cp", `${id}:/missing`, work],
      /Could not find the file \/missing in container [0-9a-f]{64}/,
    ],
    [
      "into a missing folder",
      () => ["cp", `${work}/bad`, `${id}:/missing/x`],
      /Could not find the file \/missing in container [0-9a-f]{64}/,
    ],
    [
      "into a read-only root",
      () => ["cp", `${work}/bad`, `${id}:/tmp/x`],
      /Error response from daemon: container rootfs is marked read-only/,
    ],
    [
      "into a read-only volume",
      () => ["cp", `${work}/bad`, `${id}:/ro/x`],
      /Error response from daemon: mounted volume is marked read-only/,
    ],
    [
      "of a missing container",
      () => ["cp", `${work}/bad`, "nobody:/x"],
      /No such container: nobody/,
    ],
  ];
  for (const [what, args, text] of cases) {
    it(`${what} are refused`, async () => {
      const refused = await engine.tryDocker(args());
      assert.equal(refused.code, 1);
      assert.match(refused.stderr, text);
    });
  }
  it("answer archives that reach outside with an error, and write nothing there", async () => {
    for (const name of ["../../escaped", "a/../../escaped"]) {
      const body = await makeLayer([{ header: { name }, content: "escaped" }]);
      const answer = await ask(engine, {
        method: "PUT",
        path: `/containers/${id}/archive?path=/rw`,
        headers: { "content-type": "application/x-tar" },
        body,
      });
      assert.equal(answer.status, 500, answer.body);
      assert.equal(messageOf(answer), `invalid entry name "${name}"`);
    }
    assert.equal(existsSync(path.join(engine.dataRoot, "escaped")), false);
    const files = await docker("exec", id, "find", "/", "-xdev", "-name", "escaped");
    assert.equal(files, "");
  });
  it("pass over entries that are the folder itself, whatever they say that it is", async () => {
    const body = await makeLayer([
      { header: { name: "." }, content: "no file can be here" },
      { header: { name: "beside" }, content: "beside" },
    ]);
    const answer = await ask(engine, {
      method: "PUT",
      path: `/containers/${id}/archive?path=/rw`,
      headers: { "content-type": "application/x-tar" },
      body,
    });
    assert.equal(answer.status, 200, answer.body);
    assert.equal(await docker("exec", id, "cat", "/rw/beside"), "beside");
  });
  it("don't put a directory in a file's place, or the other way round, when that is asked", async () => {
    await docker("exec", id, "sh", "-c", "mkdir /rw/folder; : > /rw/file");
    const put = async (header: { name: string; type?: "directory" }) =>
      await ask(engine, {
        method: "PUT",
        path: `/containers/${id}/archive?path=/rw&noOverwriteDirNonDir=1`,
        headers: { "content-type": "application/x-tar" },
        body: await makeLayer([header.type === undefined ? { header, content: "x" } : { header }]),
      });
    const overFolder = await put({ name: "folder" });
    assert.match(
      messageOf(overFolder),
      /^cannot overwrite directory "folder" with non-directory "\/rw"$/,
    );
    const overFile = await put({ name: "file/", type: "directory" });
    assert.match(
      messageOf(overFile),
      /^cannot overwrite non-directory "file" with directory "\/rw"$/,
    );
  });
  it("tell a path's facts in a header", async () => {
    const answer = await ask(engine, {
      method: "HEAD",
      path: `/containers/${id}/archive?path=/tmp`,
    });
    const header = String(answer.headers["x-docker-container-path-stat"]);
    const facts = JSON.parse(Buffer.from(header, "base64").toString()) as Record<string, unknown>;
    assert.deepEqual(
      { ...facts, mtime: "", size: 0 },
      { name: "tmp", size: 0, mode: 2 ** 31 + 2 ** 20 + 0o777, mtime: "", linkTarget: "" },
    );
    const missing = await ask(engine, {
      method: "HEAD",
      path: `/containers/${id}/archive?path=/nope`,
    });
    assert.equal(missing.status, 404);
  });
});

/** Swaps a folder of a volume with a link to a folder of the host, as fast as a shell can. */
const swapping = (canary: string): string =>
  `mkdir -p /v/real; cd /v; while :; do mkdir x 2>/dev/null; mv -T x y 2>/dev/null; ln -s ${canary} x 2>/dev/null; rm -rf x y; ln -s / x; rm x; done`;

describe("a container that swaps paths while files are copied", () => {
  it("never makes the engine touch the host", async () => {
    const canary = path.join(work, "canary");
    await mkdir(canary);
    await writeFile(path.join(canary, "secret"), "the host's");
    const before = await digestOf(canary);
    const attacker = await docker(
      "run",
      "-d",
      "-v",
      "shared:/v",
      "busybox",
      "sh",
      "-c",
      swapping(canary),
    );
    const victim = await docker(
      "create",
      "-v",
      "shared:/v",
      "-v",
      "inner:/v/x/mounted",
      "busybox",
      "sleep",
      "1000",
    );
    const body = await makeLayer([
      { header: { name: "written" }, content: "by the engine" },
      { header: { name: "d/", type: "directory" } },
      { header: { name: "d/written" }, content: "by the engine" },
    ]);
    const outcomes = new Map<string, number>();
    const count = (what: string): void => {
      outcomes.set(what, (outcomes.get(what) ?? 0) + 1);
    };
    for (let round = 0; round < 25; round++) {
      for (const container of [attacker, victim]) {
        const put = await ask(engine, {
          method: "PUT",
          path: `/containers/${container}/archive?path=/v/x`,
          headers: { "content-type": "application/x-tar" },
          body,
        });
        count(`put ${String(put.status)}`);
        const got = await ask(engine, {
          path: `/containers/${container}/archive?path=/v/x/secret`,
        });
        count(`get ${String(got.status)}`);
        assert.ok(!got.body.includes("the host's"), "a file of the host was read");
        const whole = await ask(engine, {
          method: "HEAD",
          path: `/containers/${container}/archive?path=/v/x`,
        });
        count(`head ${String(whole.status)}`);
      }
    }
    // Starting makes the mount point below the swapped folder, or fails.
    for (let round = 0; round < 5; round++) {
      count(`start ${String((await engine.tryDocker(["start", victim])).code)}`);
      await docker("kill", victim).catch(() => undefined);
    }
    assert.equal(await digestOf(canary), before, "the host's folder has changed");
    assert.ok(
      (outcomes.get("put 200") ?? 0) > 0 && outcomes.size > 4,
      JSON.stringify([...outcomes]),
    );
    await docker("rm", "-f", attacker, victim);
    await docker("volume", "rm", "shared", "inner");
  });
});

describe("an image with programs of its own", () => {
  it("never has them run by the engine, whatever the archive is compressed with", async () => {
    const script = "#!/bin/sh\n(id; env) > /pwned\ncat\n";
    const folders = ["bin", "sbin", "usr", "usr/bin", "usr/sbin", "usr/local", "usr/local/bin"];
    const names = ["xz", "unxz", "gzip", "gunzip", "unpigz", "bzip2", "zstd", "tar", "getent"];
    const layer = await makeLayer([
      ...folders.map((name) => ({
        header: { name: `${name}/`, type: "directory" as const, mode: 0o755 },
      })),
      ...folders
        .filter((name) => name.endsWith("bin"))
        .flatMap((folder) =>
          names.map((name) => ({
            header: { name: `${folder}/${name}`, mode: 0o755 },
            content: script,
          })),
        ),
    ]);
    const image = makeImage({ layers: [layer], config: { Cmd: ["/bin/xz"] } });
    await engine.docker(["load"], {
      input: await makeDockerArchive([{ image, tags: ["evil:1"] }]),
    });
    const id = await docker("create", "-u", "someone", "evil:1");
    await writeFile(path.join(work, "plain"), "plain");
    for (const compress of ["gzip", "bzip2", "xz", "zstd", "cat"]) {
      if ((await sh(`command -v ${compress} || true`)) === "") continue;
      const bytes = await sh(`tar -cf - plain | ${compress} > plain.tar.${compress} && echo done`);
      assert.equal(bytes, "done\n");
      const put = await ask(engine, {
        method: "PUT",
        path: `/containers/${id}/archive?path=/`,
        headers: { "content-type": "application/x-tar" },
        body: await readFile(path.join(work, `plain.tar.${compress}`)),
      });
      assert.equal(put.status, 200, `${compress}: ${put.body}`);
      const got = await ask(engine, { path: `/containers/${id}/archive?path=/plain` });
      assert.ok(got.body.includes("plain"));
    }
    await ask(engine, {
      method: "PUT",
      path: `/containers/${id}/archive?path=/&copyUIDGID=1`,
      headers: { "content-type": "application/x-tar" },
      body: await readFile(path.join(work, "plain.tar.cat")),
    });
    const changes = await docker("diff", id);
    assert.ok(!changes.includes("pwned"), changes);
    assert.equal(existsSync("/pwned"), false);
    await docker("rm", id);
    await docker("rmi", "evil:1");
  });
});
