/** Mounts of containers, of volumes, folders, images and memory, as users ask for them. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, it } from "node:test";
import { eventually } from "@gantry/testkit/eventually";
import { mountsBelow } from "@gantry/testkit/leaks";
import { mustRun } from "@gantry/testkit/run";
import { ask } from "../src/http.ts";
import { imageWithData, useVolumeBed } from "../src/volume-bed.ts";

const bed = useVolumeBed();
const { docker, run, mountsOf, volumes, removeVolumes, nothingMounted } = bed;

describe("mounts", () => {
  it("are taken from other containers with --volumes-from, read-only when asked", async () => {
    await docker("create", "--name", "owner", "-v", "shared:/s", "-v", "/anonymous", imageWithData);
    assert.equal(
      await run(
        "--volumes-from",
        "owner",
        "busybox",
        "sh",
        "-c",
        "touch /s/x /anonymous/y && ls /s /anonymous",
      ),
      "/anonymous:\ny\n\n/s:\nx",
    );
    const refused = await bed.engine.tryDocker([
      "run",
      "--rm",
      "--volumes-from",
      "owner:ro",
      "busybox",
      "touch",
      "/s/x",
    ]);
    assert.match(refused.stderr, /Read-only file system/);
    assert.equal((await volumes()).length, 3, "an anonymous volume went with its borrower");
    await docker("rm", "-v", "owner");
    await removeVolumes();
  });
  it("are those of the last owner where several lend to one place, and a container's own before", async () => {
    await docker("create", "--name", "one", "-v", "one:/s", "-v", "one:/t", "busybox");
    await docker("create", "--name", "two", "-v", "two:/s", "-v", "two:/t", "busybox");
    const from = ["--volumes-from", "one", "--volumes-from", "two"];
    await docker("create", "--name", "borrower", ...from, "-v", "own:/t", "busybox");
    const mounts = await mountsOf("borrower");
    const named = mounts.map(({ Name, Destination }) => `${String(Name)} ${String(Destination)}`);
    assert.deepEqual(named.sort(), ["own /t", "two /s"]);
    await docker("rm", "borrower", "one", "two");
    await removeVolumes();
  });
  it("show a subpath of a volume, and nothing outside of it", async () => {
    await run(
      "-v",
      "deep:/v",
      "busybox",
      "sh",
      "-c",
      "mkdir -p /v/a/b; echo -n inner > /v/a/b/f; ln -s /etc /v/out; ln -s a /v/in",
    );
    const through = async (subpath: string): Promise<string> => {
      const mount = `type=volume,src=deep,dst=/d,volume-subpath=${subpath}`;
      const ran = await bed.engine.tryDocker([
        "run",
        "--rm",
        "--mount",
        mount,
        "busybox",
        "ls",
        "/d",
      ]);
      return ran.code === 0 ? ran.stdout.trim() : "refused";
    };
    assert.deepEqual(
      [await through("a/b"), await through("in/b"), await through("missing"), await through("out")],
      ["f", "f", "refused", "refused"],
    );
    const missing = await bed.engine.tryDocker([
      ...["run", "--rm", "--mount", "type=volume,src=deep,dst=/d,volume-subpath=a/none/c"],
      ...["busybox", "true"],
    ]);
    const files = path.join(bed.engine.dataRoot, "container-service/volumes/deep/_data/a/none");
    assert.match(
      missing.stderr,
      new RegExp(`cannot access path ${files}/c: lstat ${files}: no such file or directory`),
    );
    await removeVolumes();
  });
  it("of images are read-only views, kept as long as a container needs them", async () => {
    const mount = `type=image,src=${imageWithData},dst=/i`;
    assert.equal(await run("--mount", mount, "busybox", "cat", "/i/data/file"), "of the image");
    assert.equal(
      await run("--mount", `${mount},image-subpath=data`, "busybox", "ls", "/i"),
      "file\nlink",
    );
    const refused = await bed.engine.tryDocker([
      "run",
      "--rm",
      "--mount",
      mount,
      "busybox",
      "touch",
      "/i/x",
    ]);
    assert.match(refused.stderr, /Read-only file system/);
    const id = await docker("run", "-d", "--mount", mount, "busybox", "sleep", "1000");
    assert.deepEqual(
      (await mountsOf(id)).map(({ Type, Source, Destination, RW }) => ({
        Type,
        Source,
        Destination,
        RW,
      })),
      [{ Type: "image", Source: imageWithData, Destination: "/i", RW: false }],
    );
    assert.notEqual(
      (await bed.engine.tryDocker(["rmi", imageWithData])).code,
      0,
      "a mounted image was removed",
    );
    await docker("rm", "-f", id);
    await eventually(() => mountsBelow(bed.engine.root).length === 0);
  });
  it("pass mounts on as their propagation says", async () => {
    const folder = path.join(bed.engine.root, "propagates");
    await mkdir(path.join(folder, "below"), { recursive: true });
    await mustRun(["mount", "-t", "tmpfs", "shared", folder]);
    try {
      await mustRun(["mount", "--make-shared", folder]);
      await mkdir(path.join(folder, "below"));
      const start = async (mode: string): Promise<string> =>
        await docker(
          "run",
          "-d",
          "--privileged",
          "-v",
          `${folder}:/p:${mode}`,
          "busybox",
          "sleep",
          "1000",
        );
      const [none, slave, shared] = [
        await start("rprivate"),
        await start("rslave"),
        await start("rshared"),
      ];
      await mustRun(["mount", "-t", "tmpfs", "new", path.join(folder, "below")]);
      const sees = async (id: string): Promise<number> =>
        (await bed.engine.tryDocker(["exec", id, "grep", "-q", " /p/below ", "/proc/mounts"])).code;
      assert.deepEqual([await sees(none), await sees(slave), await sees(shared)], [1, 0, 0]);
      await docker("exec", shared, "umount", "/p/below");
      assert.ok(!(await readFile("/proc/mounts", "utf8")).includes(` ${folder}/below `));
      await docker("rm", "-f", none, slave, shared);
    } finally {
      await mustRun(["umount", "-R", folder]);
    }
  });
  it("come into volumes, too, when they are made later", async () => {
    const folder = path.join(bed.engine.root, "volume-propagates");
    await mkdir(folder);
    await mustRun(["mount", "-t", "tmpfs", "shared", folder]);
    try {
      await mustRun(["mount", "--make-shared", folder]);
      await mkdir(path.join(folder, "below"));
      const options = ["-o", "type=none", "-o", "o=bind", "-o", `device=${folder}`];
      await docker("volume", "create", ...options, "passing");
      const id = await docker("run", "-d", "-v", "passing:/v", "busybox", "sleep", "1000");
      await mustRun(["mount", "-t", "tmpfs", "new", path.join(folder, "below")]);
      await docker("exec", id, "grep", "-q", "^new /v/below tmpfs", "/proc/mounts");
      await mustRun(["umount", path.join(folder, "below")]);
      assert.equal(
        (await bed.engine.tryDocker(["exec", id, "grep", "^new ", "/proc/mounts"])).code,
        1,
      );
      await docker("rm", "-f", id);
      await docker("volume", "rm", "passing");
    } finally {
      await mustRun(["umount", "-R", folder]);
    }
  });
  it("are refused where nothing could pass, and on /proc, in dockerd's words", async () => {
    const folder = path.join(bed.engine.root, "keeps");
    await mkdir(folder);
    await mustRun(["mount", "-t", "tmpfs", "private", folder]);
    const refusal = async (bind: string): Promise<string> => {
      const ran = await bed.engine.tryDocker(["run", "--rm", "-v", bind, "busybox", "true"]);
      assert.equal(ran.code, 125, ran.stderr);
      return ran.stderr;
    };
    try {
      await mustRun(["mount", "--make-private", folder]);
      await mkdir(path.join(folder, "below"));
      const lies = `path ${folder}/below is mounted on ${folder} but it is not a`;
      for (const [mode, kind] of [
        ["shared", "shared"],
        ["rshared", "shared"],
        ["slave", "shared or slave"],
        ["rslave", "shared or slave"],
      ]) {
        const text = await refusal(`${folder}/below:/p:${String(mode)}`);
        assert.ok(text.includes(`${lies} ${String(kind)} mount`), text);
      }
      assert.equal(
        await docker("run", "--rm", "-v", `${folder}:/p:rprivate`, "busybox", "ls", "/p"),
        "below",
      );
      for (const [place, why] of [
        ["/proc", "not of type proc"],
        ["/proc/none", "inside /proc"],
        ["/proc/sys", "inside /proc"],
      ]) {
        assert.match(
          await refusal(`${folder}:${String(place)}`),
          new RegExp(`"${String(place)}" cannot be mounted because it is ${String(why)}`),
        );
      }
    } finally {
      await mustRun(["umount", folder]);
    }
  });
  it("are read-only below, too, unless that is not wanted", async () => {
    const folder = path.join(bed.engine.root, "recursive");
    await mkdir(folder);
    await mustRun(["mount", "-t", "tmpfs", "outer", folder]);
    try {
      await mkdir(path.join(folder, "inner"));
      await mustRun(["mount", "-t", "tmpfs", "inner", path.join(folder, "inner")]);
      const touch = async (options: string): Promise<number> =>
        (
          await bed.engine.tryDocker([
            "run",
            "--rm",
            "--mount",
            `type=bind,src=${folder},dst=/r,readonly${options}`,
            "busybox",
            "touch",
            "/r/inner/x",
          ])
        ).code;
      assert.equal(await touch(""), 1);
      assert.equal(await touch(",bind-recursive=writable"), 0);
      assert.equal(await touch(",bind-recursive=readonly,bind-propagation=rprivate"), 1);
      const flat = await run(
        "--mount",
        `type=bind,src=${folder},dst=/r,bind-recursive=disabled`,
        "busybox",
        "ls",
        "/r/inner",
      );
      assert.equal(flat, "");
    } finally {
      await mustRun(["umount", "-R", folder]);
    }
  });
  it("make their source with create-mountpoint, and files their mount point", async () => {
    const folder = path.join(bed.engine.root, "made/by/create");
    const made = await ask(bed.engine, {
      method: "POST",
      path: "/containers/create?name=maker",
      body: {
        Image: "busybox",
        Cmd: ["true"],
        HostConfig: {
          Mounts: [
            { Type: "bind", Source: folder, Target: "/m", BindOptions: { CreateMountpoint: true } },
          ],
        },
      },
    });
    assert.equal(made.status, 201, made.body);
    await docker("start", "-a", "maker");
    assert.ok(existsSync(folder));
    await docker("rm", "maker");
    const file = path.join(bed.engine.root, "single");
    await writeFile(file, "a file");
    assert.equal(
      await run("-v", `${file}:/new/place/f`, "busybox", "cat", "/new/place/f"),
      "a file",
    );
  });
  it("are told by events, also of a start that fails", async () => {
    const told = async (...args: string[]): Promise<string[]> => {
      // One name at a time: the events of containers before it are not its own.
      const name = ["--name", "told", "-v", "told:/v"];
      const { stderr } = await bed.engine.tryDocker(["run", "--rm", ...name, "busybox", ...args]);
      assert.doesNotMatch(stderr, /Conflict/);
      const filters = ["volume", "network"].flatMap((type) => ["--filter", `type=${type}`]);
      const format = ["--format", "{{.Type}} {{.Action}}"];
      const until = String(Date.now() / 1000);
      const all = await docker("events", "--since", since, "--until", until, ...filters, ...format);
      since = until;
      return all.split("\n").filter((line) => !line.endsWith(" destroy"));
    };
    let since = String(Date.now() / 1000);
    assert.deepEqual(await told("true"), [
      "volume create",
      "volume mount",
      "network connect",
      "network disconnect",
      "volume unmount",
    ]);
    assert.deepEqual(await told("no-such-program"), [
      "volume mount",
      "network disconnect",
      "volume unmount",
    ]);
    await removeVolumes();
  });
  it("of tmpfs take their options", async () => {
    const shown = async (...args: string[]): Promise<string> =>
      await run(...args, "busybox", "grep", " /t ", "/proc/mounts");
    assert.match(await shown("--tmpfs", "/t"), /^tmpfs \/t tmpfs rw,nosuid,nodev,noexec/);
    const sized = await shown("--tmpfs", "/t:size=1m,mode=700,exec");
    assert.match(sized, /size=1024k,mode=700/);
    assert.doesNotMatch(sized, /noexec/);
    assert.match(
      await shown("--mount", "type=tmpfs,dst=/t,tmpfs-size=2m,tmpfs-mode=1770"),
      /size=2048k,mode=1770/,
    );
  });
});

describe("bad mounts", () => {
  const cases: readonly [string, readonly string[], RegExp][] = [
    [
      "on the root",
      ["-v", "v1:/"],
      /invalid volume specification: 'v1:\/': invalid mount config for type "volume": invalid specification: destination can't be '\/'/,
    ],
    [
      "with a relative target",
      ["-v", "/tmp:rel"],
      /invalid volume specification: '\/tmp:rel': invalid mount config for type "bind": invalid mount path: 'rel' mount path must be absolute/,
    ],
    [
      "with a relative source",
      ["-v", "a/b:/x"],
      /create a\/b: "a\/b" includes invalid characters for a local volume name, only "\[a-zA-Z0-9\]\[a-zA-Z0-9_\.-\]" are allowed\. If you intended to pass a host directory, use absolute path/,
    ],
    ["with the same target twice", ["-v", "v1:/x", "-v", "v2:/x/"], /Duplicate mount point: \/x/],
    ["with an unknown mode", ["-v", "v1:/x:zz"], /invalid mode: zz/],
    [
      "with an unknown driver",
      ["--volume-driver", "nope", "-v", "v1:/x"],
      /plugin "nope" not found/,
    ],
    ["from nobody", ["--volumes-from", "nobody"], /No such container: nobody/],
    [
      "of a missing image",
      ["--mount", "type=image,src=missing:9,dst=/x"],
      /No such image: missing:9/,
    ],
    ["of a tmpfs with an unknown option", ["--tmpfs", "/x:evil=1"], /invalid tmpfs option "evil"/],
    [
      "of a tmpfs on /proc",
      ["--tmpfs", "/proc"],
      /"\/proc" cannot be mounted because it is not of type proc/,
    ],
    ["below what is no folder", ["-v", "v1:/etc/passwd/x"], /not a directory/],
  ];
  for (const [what, args, text] of cases) {
    it(`${what} are refused, and leave nothing`, async () => {
      const refused = await bed.engine.tryDocker([
        "run",
        "--rm",
        "--pull",
        "never",
        ...args,
        "busybox",
        "true",
      ]);
      assert.equal(refused.code, 125, refused.stderr);
      assert.match(refused.stderr, text);
      assert.equal(await docker("ps", "-aq"), "");
      await removeVolumes();
      await nothingMounted();
    });
  }
});

describe("binds that cannot be read", () => {
  it("are the engine's fault, as a dockerd has it; what is wrong about their mounts is the client's", async () => {
    const cases: readonly [object, number, string][] = [
      [{ Binds: ["/tmp:/x:bad"] }, 500, "invalid mode: bad"],
      [{ Binds: [":/x"] }, 500, "invalid volume specification: ':/x'"],
      [{ Binds: ["/tmp:/x", "/etc:/x"] }, 400, "Duplicate mount point: /x"],
      [{ Tmpfs: { rel: "" } }, 400, "invalid mount path: 'rel' mount path must be absolute"],
      [{ VolumesFrom: [""] }, 400, "volumes-from specification cannot be an empty string"],
    ];
    for (const [HostConfig, status, message] of cases) {
      const body = { Image: "busybox", HostConfig };
      const answer = await ask(bed.engine, { method: "POST", path: "/containers/create", body });
      assert.deepEqual([answer.status, JSON.parse(answer.body)], [status, { message }]);
    }
    assert.equal(await docker("ps", "-aq"), "");
  });
});
