/** Volumes and mounts as users ask for them, through the stock CLI and the API. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { eventually } from "@gantry/testkit/eventually";
import { makeDockerArchive, makeImage, makeLayer } from "@gantry/testkit/image-maker";
import { mustRun } from "@gantry/testkit/run";
import { TestEngine } from "@gantry/testkit/test-engine";
import { untilPasses } from "@gantry/testkit/until-passes";
import type { Answer } from "../src/http.ts";
import { ask, messageOf } from "../src/http.ts";

let engine: TestEngine;
/** Busybox with a volume at /declared and files at /data. */
const image = "withdata:1";
before(async () => {
  engine = await TestEngine.start();
  await engine.docker(["load"], { input: await dataArchive() });
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

async function dataArchive(): Promise<Uint8Array> {
  const busybox = await engine.docker(["create", "busybox"]);
  const exported = path.join(engine.root, "busybox.tar");
  await engine.docker(["export", "-o", exported, busybox]);
  await engine.docker(["rm", busybox]);
  const top = await makeLayer([
    { header: { name: "data/", type: "directory", mode: 0o750, uid: 1000, gid: 1001 } },
    { header: { name: "data/file", mode: 0o640, uid: 1000, gid: 1001 }, content: "of the image" },
    { header: { name: "data/link", type: "symlink", linkname: "file" } },
    { header: { name: "declared/", type: "directory", mode: 0o1777 } },
    { header: { name: "todata", type: "symlink", linkname: "/data" } },
  ]);
  const made = makeImage({
    layers: [await readFile(exported), top],
    config: { Cmd: ["sh"], Volumes: { "/declared": {} } },
  });
  return await makeDockerArchive([{ image: made, tags: [image] }]);
}

const docker = async (...args: string[]): Promise<string> => await engine.docker(args);
const run = async (...args: string[]): Promise<string> => await docker("run", "--rm", ...args);
const filters = (value: object): string => encodeURIComponent(JSON.stringify(value));
const mountsOf = async (id: string): Promise<Record<string, unknown>[]> =>
  JSON.parse(await docker("inspect", "-f", "{{json .Mounts}}", id)) as Record<string, unknown>[];
const volumes = async (): Promise<string[]> =>
  (await docker("volume", "ls", "-q")).split("\n").filter((name) => name !== "");
const hostMounts = async (): Promise<string[]> =>
  (await readFile("/proc/self/mountinfo", "utf8"))
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((target) => target.startsWith(engine.root));

/** What a container held is let go of after it was answered for. */
const nothingMounted = async (): Promise<void> => {
  await untilPasses(async () => {
    assert.deepEqual(await hostMounts(), []);
  });
};

/** One failure must not make others. */
afterEach(async () => {
  const ids = (await docker("ps", "-aq")).split("\n").filter((id) => id !== "");
  if (ids.length > 0) await docker("rm", "-f", "-v", ...ids);
});

async function removeAll(): Promise<void> {
  const names = await volumes();
  if (names.length > 0) await docker("volume", "rm", ...names);
}

describe("the volume endpoints", () => {
  const post = async (body: object): Promise<Answer> =>
    await ask(engine, { method: "POST", path: "/volumes/create", body });
  it("make a volume once, and name anonymous ones", async () => {
    const made = await post({ Name: "first", Labels: { a: "b" } });
    assert.equal(made.status, 201);
    const again = await post({ Name: "first", Labels: { other: "labels" } });
    assert.deepEqual(again, { ...made, headers: again.headers });
    // Options are not looked at where there is nothing to make.
    const odd = await post({ Name: "first", DriverOpts: { type: "tmpfs", none: "such" } });
    assert.deepEqual(odd, { ...made, headers: odd.headers });
    const anonymous = JSON.parse((await post({})).body) as { Name: string; Labels: object };
    assert.match(anonymous.Name, /^[0-9a-f]{64}$/);
    assert.deepEqual(anonymous.Labels, { "com.docker.volume.anonymous": "" });
  });
  it("tell labels and options that were given empty from those that were not", async () => {
    const shown = async (body: object): Promise<unknown[]> => {
      const { Name, Labels, Options } = JSON.parse((await post(body)).body) as Record<
        string,
        unknown
      >;
      const again = await ask(engine, { path: `/volumes/${String(Name)}` });
      assert.deepEqual(JSON.parse(again.body), { ...JSON.parse(again.body), Labels, Options });
      return [Labels, Options];
    };
    assert.deepEqual(await shown({ Name: "neither" }), [null, null]);
    assert.deepEqual(await shown({ Name: "nulls", Labels: null, DriverOpts: null }), [null, null]);
    assert.deepEqual(await shown({ Name: "both", Labels: {}, DriverOpts: {} }), [{}, {}]);
    await docker("volume", "rm", "neither", "nulls", "both");
  });
  it("answer bad bodies and a missing name in dockerd's words", async () => {
    const type = "json: cannot unmarshal";
    for (const [body, message] of [
      ["nonsense", "invalid JSON: invalid character 'o' in literal null (expecting 'u')"],
      ["{", "invalid JSON: unexpected EOF"],
      ["[]", `invalid JSON: ${type} array into Go value of type volume.CreateOptions`],
      [
        '{"Name":1}',
        `invalid JSON: ${type} number into Go struct field CreateOptions.Name of type string`,
      ],
      [
        '{"DriverOpts":{"a":1}}',
        `invalid JSON: ${type} number into Go struct field CreateOptions.DriverOpts.a of type string`,
      ],
    ] as const) {
      const headers = { "content-type": "application/json" };
      const answer = await ask(engine, { method: "POST", path: "/volumes/create", body, headers });
      assert.deepEqual([answer.status, messageOf(answer)], [400, message]);
    }
    for (const method of ["GET", "DELETE"]) {
      const answer = await ask(engine, { method, path: "/volumes/" });
      assert.deepEqual([answer.status, messageOf(answer)], [404, "get: no such volume"]);
    }
  });
  it("list by filters", async () => {
    await post({ Name: "second", Labels: { a: "c" } });
    await docker("create", "--name", "user", "-v", "second:/v", "busybox");
    const named = async (filter: object): Promise<string[]> => {
      const answer = await ask(engine, { path: `/volumes?filters=${filters(filter)}` });
      const { Volumes: found } = JSON.parse(answer.body) as { Volumes: { Name: string }[] };
      return found.map(({ Name }) => Name).filter((name) => name.length < 64);
    };
    assert.deepEqual(await named({ label: ["a"] }), ["first", "second"]);
    assert.deepEqual(await named({ label: ["a=c"] }), ["second"]);
    assert.deepEqual(await named({ name: ["eco"] }), ["second"]);
    assert.deepEqual(await named({ dangling: ["true"] }), ["first"]);
    assert.deepEqual(await named({ dangling: { 0: true } }), ["second"]);
    assert.deepEqual(await named({ driver: ["local"], label: ["a=b"] }), ["first"]);
  });
  it("remove what nobody uses", async () => {
    const id = await docker("create", "--name", "user", "-v", "second:/v", "busybox");
    const used = await ask(engine, { method: "DELETE", path: "/volumes/second?force=1" });
    assert.deepEqual(
      [used.status, messageOf(used)],
      [409, `remove second: volume is in use - [${id}]`],
    );
    const missing = await ask(engine, { method: "DELETE", path: "/volumes/nobody" });
    assert.deepEqual([missing.status, messageOf(missing)], [404, "get nobody: no such volume"]);
    assert.equal(
      (await ask(engine, { method: "DELETE", path: "/volumes/nobody?force=1" })).status,
      204,
    );
    await docker("rm", "user");
    assert.equal((await ask(engine, { method: "DELETE", path: "/volumes/second" })).status, 204);
  });
  it("prune named volumes only when asked to, or asked in an old version", async () => {
    await post({ Name: "kept", Labels: { keep: "" } });
    const prune = async (version: string, filter: object): Promise<string[]> => {
      const where = `/${version}/volumes/prune?filters=${filters(filter)}`;
      const answer = await ask(engine, { method: "POST", path: where });
      return (JSON.parse(answer.body) as { VolumesDeleted: string[] }).VolumesDeleted;
    };
    const [anonymous] = await prune("v1.42", {});
    assert.match(anonymous ?? "", /^[0-9a-f]{64}$/);
    assert.deepEqual(await prune("v1.42", {}), []);
    assert.deepEqual(await prune("v1.42", { all: ["true"], "label!": ["keep"] }), ["first"]);
    assert.deepEqual(await prune("v1.41", {}), ["kept"]);
    assert.deepEqual(await volumes(), []);
  });
});

describe("the local driver's options", () => {
  it("mount a file system for as long as a container uses it", async () => {
    await docker(
      ...["volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs"],
      ...["-o", "o=size=1m,uid=1000", "memory"],
    );
    const held = await docker("run", "-d", "-v", "memory:/m", "busybox", "sleep", "1000");
    assert.match(
      await run("-v", "memory:/m", "busybox", "sh", "-c", "grep ' /m ' /proc/mounts; touch /m/x"),
      /^tmpfs \/m tmpfs .*size=1024k,uid=1000/,
    );
    assert.equal(await docker("exec", held, "ls", "/m"), "x");
    assert.equal((await hostMounts()).length, 1);
    await docker("rm", "-f", held);
    await eventually(async () => (await hostMounts()).length === 0);
    assert.equal(
      await run("-v", "memory:/m", "busybox", "ls", "/m"),
      "",
      "a file system of memory has outlived its use",
    );
  });
  it("mount again right after they were let go", async () => {
    for (let round = 0; round < 10; round++) {
      assert.match(
        await run("-v", "memory:/m", "busybox", "grep", " /m ", "/proc/mounts"),
        /^tmpfs/,
      );
    }
  });
  it("bind a folder of the host, and are never pruned", async () => {
    const folder = path.join(engine.root, "bound");
    await mkdir(folder);
    await docker(
      ...["volume", "create", "-o", "type=none", "-o", `device=${folder}`, "-o", "o=bind", "bound"],
    );
    await run("-v", "bound:/b", "busybox", "sh", "-c", "echo -n hello > /b/f");
    assert.equal(await readFile(path.join(folder, "f"), "utf8"), "hello");
    await docker("volume", "prune", "-af");
    assert.deepEqual(await volumes(), ["bound", "memory"]);
    await docker("volume", "rm", "bound", "memory");
    assert.equal(
      await readFile(path.join(folder, "f"), "utf8"),
      "hello",
      "removing took the host's files",
    );
  });
  it("bind read-only when that is asked for, though the kernel wants it told separately", async () => {
    const folder = path.join(engine.root, "bound-ro");
    await mkdir(folder);
    const options = ["-o", "type=none", "-o", `device=${folder}`, "-o", "o=bind,ro"];
    await docker("volume", "create", ...options, "bound-ro");
    const refused = await engine.tryDocker([
      "run",
      "--rm",
      "-v",
      "bound-ro:/b",
      "busybox",
      "touch",
      "/b/f",
    ]);
    assert.match(refused.stderr, /Read-only file system/);
    await nothingMounted();
    await docker("volume", "rm", "bound-ro");
  });
  it("fail at start with the kernel's reason, and leave nothing mounted", async () => {
    const options = ["-o", "type=nfs", "-o", "device=:/export", "-o", "o=addr=127.0.0.1,soft"];
    await docker("volume", "create", ...options, "remote");
    const refused = await engine.tryDocker(["run", "--rm", "-v", "remote:/r", "busybox"]);
    assert.equal(refused.code, 125);
    const { Mountpoint: point } = (
      JSON.parse(await docker("volume", "inspect", "remote")) as { Mountpoint: string }[]
    )[0] ?? { Mountpoint: "" };
    assert.ok(
      refused.stderr.includes(
        `error while mounting volume '${point}': failed to mount local volume: mount :/export:${point}, data: addr=127.0.0.1,soft: `,
      ),
      refused.stderr,
    );
    await nothingMounted();
    await docker("volume", "rm", "remote");
  });
});

describe("a new volume", () => {
  it("is filled from the image, with owners, modes and links", async () => {
    await docker("create", "--name", "filler", "-v", "filled:/data", image);
    assert.equal(
      await run(
        "-v",
        "filled:/x",
        "busybox",
        "sh",
        "-c",
        "cd /x; stat -c '%a %u:%g %F' . file link; readlink link; cat file",
      ),
      "750 1000:1001 directory\n640 1000:1001 regular file\n777 0:0 symbolic link\nfile\nof the image",
    );
    await docker("rm", "filler");
  });
  it("is filled under a running container that has it already, and stays one volume", async () => {
    const id = await docker("run", "-d", "-v", "early:/x", "busybox", "sleep", "1000");
    await docker("create", "--name", "filler", "-v", "early:/data", image);
    assert.equal(await docker("exec", id, "cat", "/x/file"), "of the image");
    await docker("exec", id, "touch", "/x/written");
    await docker("rm", "-f", id, "filler");
    assert.equal(await run("-v", "early:/x", "busybox", "ls", "/x/written"), "/x/written");
  });
  it("is filled where a link of the image leads, and stays empty with nocopy or when it has something", async () => {
    assert.equal(await run("-v", "linked:/todata", image, "ls", "/todata/"), "file\nlink");
    assert.equal(await run("-v", "empty:/data:nocopy", image, "ls", "/data"), "");
    assert.equal(
      await run("--mount", "type=volume,dst=/data,volume-nocopy", image, "ls", "/data"),
      "",
    );
    await run("-v", "busy:/v", "busybox", "touch", "/v/own");
    assert.equal(await run("-v", "busy:/data", image, "ls", "/data"), "own");
    await removeAll();
  });
  it("without a name goes with its container: by --rm, and by rm -v", async () => {
    await run(image, "true");
    assert.deepEqual(await volumes(), []);
    const kept = await docker("create", image);
    await docker("rm", kept);
    assert.equal((await volumes()).length, 1);
    await removeAll();
    const named = await docker("create", "-v", "named:/n", "-v", "/unnamed", image);
    assert.equal((await volumes()).length, 3);
    await docker("rm", "-v", named);
    assert.deepEqual(await volumes(), ["named"]);
    await removeAll();
  });
  it("that a refused create has made is gone again", async () => {
    const refused = await engine.tryDocker([
      "create",
      "-v",
      "made:/m",
      "--mount",
      "type=bind,src=/no/such/path,dst=/b",
      image,
    ]);
    assert.match(
      refused.stderr,
      /invalid mount config for type "bind": bind source path does not exist: \/no\/such\/path/,
    );
    assert.deepEqual(await volumes(), []);
  });
});

describe("mounts", () => {
  it("are taken from other containers with --volumes-from, read-only when asked", async () => {
    await docker("create", "--name", "owner", "-v", "shared:/s", "-v", "/anonymous", image);
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
    const refused = await engine.tryDocker([
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
    await removeAll();
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
      const ran = await engine.tryDocker(["run", "--rm", "--mount", mount, "busybox", "ls", "/d"]);
      return ran.code === 0 ? ran.stdout.trim() : "refused";
    };
    assert.deepEqual(
      [await through("a/b"), await through("in/b"), await through("missing"), await through("out")],
      ["f", "f", "refused", "refused"],
    );
    const missing = await engine.tryDocker([
      ...["run", "--rm", "--mount", "type=volume,src=deep,dst=/d,volume-subpath=a/none/c"],
      ...["busybox", "true"],
    ]);
    const files = path.join(engine.dataRoot, "container-service/volumes/deep/_data/a/none");
    assert.match(
      missing.stderr,
      new RegExp(`cannot access path ${files}/c: lstat ${files}: no such file or directory`),
    );
    await removeAll();
  });
  it("of images are read-only views, kept as long as a container needs them", async () => {
    const mount = `type=image,src=${image},dst=/i`;
    assert.equal(await run("--mount", mount, "busybox", "cat", "/i/data/file"), "of the image");
    assert.equal(
      await run("--mount", `${mount},image-subpath=data`, "busybox", "ls", "/i"),
      "file\nlink",
    );
    const refused = await engine.tryDocker([
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
      [{ Type: "image", Source: image, Destination: "/i", RW: false }],
    );
    assert.notEqual(
      (await engine.tryDocker(["rmi", image])).code,
      0,
      "a mounted image was removed",
    );
    await docker("rm", "-f", id);
    await eventually(async () => (await hostMounts()).length === 0);
  });
  it("pass mounts on as their propagation says", async () => {
    const folder = path.join(engine.root, "propagates");
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
        (await engine.tryDocker(["exec", id, "grep", "-q", " /p/below ", "/proc/mounts"])).code;
      assert.deepEqual([await sees(none), await sees(slave), await sees(shared)], [1, 0, 0]);
      await docker("exec", shared, "umount", "/p/below");
      assert.ok(!(await readFile("/proc/mounts", "utf8")).includes(` ${folder}/below `));
      await docker("rm", "-f", none, slave, shared);
    } finally {
      await mustRun(["umount", "-R", folder]);
    }
  });
  it("come into volumes, too, when they are made later", async () => {
    const folder = path.join(engine.root, "volume-propagates");
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
      assert.equal((await engine.tryDocker(["exec", id, "grep", "^new ", "/proc/mounts"])).code, 1);
      await docker("rm", "-f", id);
      await docker("volume", "rm", "passing");
    } finally {
      await mustRun(["umount", "-R", folder]);
    }
  });
  it("are refused where nothing could pass, and on /proc, in dockerd's words", async () => {
    const folder = path.join(engine.root, "keeps");
    await mkdir(folder);
    await mustRun(["mount", "-t", "tmpfs", "private", folder]);
    const refusal = async (bind: string): Promise<string> => {
      const ran = await engine.tryDocker(["run", "--rm", "-v", bind, "busybox", "true"]);
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
    const folder = path.join(engine.root, "recursive");
    await mkdir(folder);
    await mustRun(["mount", "-t", "tmpfs", "outer", folder]);
    try {
      await mkdir(path.join(folder, "inner"));
      await mustRun(["mount", "-t", "tmpfs", "inner", path.join(folder, "inner")]);
      const touch = async (options: string): Promise<number> =>
        (
          await engine.tryDocker([
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
    const folder = path.join(engine.root, "made/by/create");
    const made = await ask(engine, {
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
    const file = path.join(engine.root, "single");
    await writeFile(file, "a file");
    assert.equal(
      await run("-v", `${file}:/new/place/f`, "busybox", "cat", "/new/place/f"),
      "a file",
    );
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
    ["below what is no folder", ["-v", "v1:/etc/passwd/x"], /not a directory/],
  ];
  for (const [what, args, text] of cases) {
    it(`${what} are refused, and leave nothing`, async () => {
      const refused = await engine.tryDocker(["run", "--rm", ...args, "busybox", "true"]);
      assert.equal(refused.code, 125, refused.stderr);
      assert.match(refused.stderr, text);
      assert.equal(await docker("ps", "-aq"), "");
      await removeAll();
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
      const answer = await ask(engine, { method: "POST", path: "/containers/create", body });
      assert.deepEqual([answer.status, JSON.parse(answer.body)], [status, { message }]);
    }
    assert.equal(await docker("ps", "-aq"), "");
  });
});

describe("a lost database", () => {
  it("loses no volume: those found on disk are taken over", async () => {
    await run("-v", "survivor:/v", "busybox", "sh", "-c", "echo -n precious > /v/f");
    await docker("create", "--name", "forgotten", "-v", "other:/v", "-v", "/anonymous", "busybox");
    const before = await volumes();
    assert.equal(before.length, 3);
    await engine.stop();
    const folder = path.join(engine.dataRoot, "container-service");
    // The engine refuses to go on without its database as long as the file beside it names one.
    const lost = (await readdir(folder)).filter((name) => /^(state\.db|store-id)/.test(name));
    assert.ok(lost.length >= 2, lost.join());
    for (const name of lost) await rm(path.join(folder, name));
    await engine.startSupervisor();
    assert.deepEqual(await volumes(), before);
    assert.equal(await run("-v", "survivor:/v", "busybox", "cat", "/v/f"), "precious");
    await docker("volume", "prune", "-f");
    assert.deepEqual(await volumes(), before, "an adopted volume was taken for an anonymous one");
    await removeAll();
  });
});
