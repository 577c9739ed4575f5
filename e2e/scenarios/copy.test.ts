/** `docker cp` and the archive endpoints: exact both ways, whatever the paths lead through. */
import assert from "node:assert/strict";
import { lstat, mkdir, readFile, readlink, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { mountsBelow } from "@gantry/testkit/leaks";
import { mustRun } from "@gantry/testkit/run";
import { untilPasses } from "@gantry/testkit/until-passes";
import { exactTar, useCopyBed } from "../src/copy-bed.ts";

const bed = useCopyBed();
const { docker, sh, digestOf } = bed;

/** A running container's root, seen from this machine. */
async function rootOf(container: string): Promise<string> {
  return `/proc/${await docker("inspect", "-f", "{{.State.Pid}}", container)}/root`;
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
      const from = path.join(bed.work, `from${target.replaceAll("/", "-")}`);
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
        env: bed.engine.clientEnv(),
      });
      const inside = `${await rootOf(id)}${target}`;
      // The directory itself was there before, with attributes of its own.
      const contents = async (folder: string): Promise<string> =>
        await sh(`${exactTar} -c -- * | sha256sum`, folder);
      assert.equal(await contents(inside), await contents(from));
      const sparse = await stat(path.join(inside, "sparse"));
      assert.ok(sparse.blocks * 512 < 1024 * 1024, `holes became ${String(sparse.blocks)} blocks`);
      const back = path.join(bed.work, `back${target.replaceAll("/", "-")}`);
      await mkdir(back);
      await mustRun(
        [
          "sh",
          "-ec",
          `docker cp ${id}:${target}/. - | tar --xattrs --xattrs-include='*' -x -C ${back}`,
        ],
        { env: bed.engine.clientEnv() },
      );
      assert.equal(await contents(back), await contents(from));
      await docker("rm", "-f", id);
      await sh(`rm -rf ${from} ${back} ${from}.tar`);
    });
  }

  it("is the same from a container that has stopped, and goes into one that never ran", async () => {
    const from = path.join(bed.work, "stopped");
    await makeRichTree(from);
    const id = await docker("create", "-v", "/volume", "busybox", "true");
    await sh(`${exactTar} -C ${from} -cf ${from}.tar .`);
    for (const target of ["/home", "/volume"]) {
      await mustRun(["sh", "-ec", `docker cp - ${id}:${target} < ${from}.tar`], {
        env: bed.engine.clientEnv(),
      });
    }
    await docker("start", "-a", id);
    const digests: string[] = [];
    for (const target of ["/home", "/volume"]) {
      const back = path.join(bed.work, `back${target.slice(1)}`);
      await mkdir(back);
      await mustRun(
        [
          "sh",
          "-ec",
          `docker cp ${id}:${target}/. - | tar --xattrs --xattrs-include='*' -x -C ${back}`,
        ],
        { env: bed.engine.clientEnv() },
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
      ...[
        "run",
        "-d",
        "-v",
        "named:/data",
        "-v",
        `${bed.work}/bound:/bound`,
        "busybox",
        "sh",
        "-c",
      ],
      "mkdir /d && echo file > /d/f && ln -s /d /link && ln -s f /d/l && rmdir /var/run && ln -s /run /var/run && mkdir /run && exec sleep 1000",
    );
    await bed.engine.docker(["exec", id, "sh", "-c", "until [ -d /run ]; do :; done"]);
    await mkdir(path.join(bed.work, "in/below"), { recursive: true });
    await writeFile(path.join(bed.work, "in/below/one"), "one");
    await writeFile(path.join(bed.work, "single"), "single");
  });
  after(async () => {
    await docker("rm", "-f", "-v", id);
  });
  const inside = async (script: string): Promise<string> =>
    await docker("exec", id, "sh", "-c", script);

  it("copies a folder under its name, its content with /., and a file under a new name", async () => {
    await docker("cp", `${bed.work}/in`, `${id}:/tmp`);
    await docker("cp", `${bed.work}/in/.`, `${id}:/tmp/content`);
    await docker("cp", `${bed.work}/single`, `${id}:/tmp/renamed`);
    assert.equal(
      await inside("cd /tmp; find . -type f | sort"),
      "./content/below/one\n./in/below/one\n./renamed",
    );
    await inside("rm -rf /tmp/*");
  });
  it("copies out likewise", async () => {
    await docker("cp", `${id}:/d`, `${bed.work}/out`);
    await mkdir(path.join(bed.work, "there"));
    await docker("cp", `${id}:/d`, `${bed.work}/there`);
    await docker("cp", `${id}:/d/f`, `${bed.work}/there/g`);
    assert.equal(await sh("find out there -type f | sort"), "out/f\nthere/d/f\nthere/g\n");
    assert.equal(await readlink(path.join(bed.work, "out/l")), "f");
  });
  it("copies a link as a link, and what it leads to with -L", async () => {
    await docker("cp", `${id}:/d/l`, `${bed.work}/as-link`);
    await docker("cp", "-L", `${id}:/d/l`, `${bed.work}/followed`);
    await docker("cp", "-L", `${id}:/link`, `${bed.work}/followed-folder`);
    assert.ok((await lstat(path.join(bed.work, "as-link"))).isSymbolicLink());
    assert.equal(await readFile(path.join(bed.work, "followed"), "utf8"), "file\n");
    assert.equal(await readFile(path.join(bed.work, "followed-folder/f"), "utf8"), "file\n");
  });
  it("goes through links of the container: /var/run is /run", async () => {
    await docker("cp", `${bed.work}/single`, `${id}:/var/run/pid`);
    assert.equal(await inside("cat /run/pid"), "single");
    await docker("cp", `${id}:/var/run/pid`, `${bed.work}/pid`);
    assert.equal(await readFile(path.join(bed.work, "pid"), "utf8"), "single");
    await docker("cp", `${bed.work}/in`, `${id}:/link/`);
    assert.equal(await inside("cat /d/in/below/one"), "one");
  });
  it("reaches volumes and binds", async () => {
    await docker("cp", `${bed.work}/single`, `${id}:/data/x`);
    await docker("cp", `${bed.work}/single`, `${id}:/bound/x`);
    assert.equal(await docker("run", "--rm", "-v", "named:/v", "busybox", "cat", "/v/x"), "single");
    assert.equal(await readFile(path.join(bed.work, "bound/x"), "utf8"), "single");
  });
  it("keeps numeric owners without -a, and gives files to the container's user with it", async () => {
    await sh("cp single owned && chown 1000:1001 owned");
    const user = await docker("run", "-d", "-u", "daemon:wheel", "busybox", "sleep", "1000");
    await docker("cp", `${bed.work}/owned`, `${user}:/tmp/kept`);
    await docker("cp", "-a", `${bed.work}/owned`, `${user}:/tmp/given`);
    assert.equal(
      await docker("exec", user, "stat", "-c", "%u:%g", "/tmp/kept", "/tmp/given"),
      "1000:1001\n1:10",
    );
    await docker("rm", "-f", user);
    const unknown = await docker("create", "-u", "nobody-knows", "busybox", "true");
    const refused = await bed.engine.tryDocker([
      "cp",
      "-a",
      `${bed.work}/owned`,
      `${unknown}:/tmp/x`,
    ]);
    assert.match(
      refused.stderr,
      /failed to look up user "nobody-knows" in container: no matching entries in passwd file/,
    );
    await docker("rm", unknown);
  });
  it("keeps a time that no count of nanoseconds reaches", async () => {
    const id = await docker("create", "busybox", "true");
    await sh("touch -d '2286-11-20 17:46:40 UTC' far", bed.work);
    await docker("cp", `${bed.work}/far`, `${id}:/far`);
    const listed = await sh(`docker cp ${id}:/far - | TZ=UTC tar --full-time -tv`, bed.work);
    assert.match(listed, / 2286-11-20 17:46:40 far\s*$/);
    await docker("rm", id);
  });
  it("goes into the working directory of a container that never ran", async () => {
    const id = await docker("create", "-w", "/srv/app", "busybox", "cat", "page");
    await writeFile(path.join(bed.work, "page"), "hello");
    await docker("cp", path.join(bed.work, "page"), `${id}:/srv/app`);
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
      bed.work,
    );
    assert.equal(copied.trim(), seen);
    await docker("rm", id);
    const own = path.join(bed.work, "own-hosts");
    await writeFile(own, "127.0.0.1 mine\n");
    const other = await docker("run", "-d", "-v", `${own}:/etc/hosts`, "busybox", "true");
    await docker("wait", other);
    const mine = await sh(`docker cp ${other}:/etc/hosts - | tar -xO`, bed.work);
    assert.equal(mine, "127.0.0.1 mine\n");
    await docker("rm", other);
  });
  it("copies between a container's states without a trace on the host", async () => {
    const before = mountsBelow(bed.engine.root);
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
    await docker("cp", `${bed.work}/single`, `${created}:/new/volume/one`);
    await docker("cp", `${created}:/sub/file`, `${bed.work}/from-subpath`);
    assert.equal(await readFile(path.join(bed.work, "from-subpath"), "utf8"), "deep\n");
    await docker("cp", `${bed.work}/single`, `${created}:/sub/two`);
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
      const added = mountsBelow(bed.engine.root).filter((each) => !before.includes(each));
      assert.deepEqual(added, []);
    });
    await sh("rmdir /made");
  });
});
