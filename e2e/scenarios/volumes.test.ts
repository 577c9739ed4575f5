/** Volumes as users ask for them, through the stock CLI and the API. */
import assert from "node:assert/strict";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, it } from "node:test";
import { eventually } from "@gantry/testkit/eventually";
import { mountsBelow } from "@gantry/testkit/leaks";
import { mustRun } from "@gantry/testkit/run";
import type { Answer } from "../src/http.ts";
import { ask, messageOf } from "../src/http.ts";
import { imageWithData, useVolumeBed } from "../src/volume-bed.ts";

const bed = useVolumeBed();
const { docker, run, volumes, removeVolumes, nothingMounted } = bed;
const filters = (value: object): string => encodeURIComponent(JSON.stringify(value));

describe("the volume endpoints", () => {
  const post = async (body: object): Promise<Answer> =>
    await ask(bed.engine, { method: "POST", path: "/volumes/create", body });
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
      const again = await ask(bed.engine, { path: `/volumes/${String(Name)}` });
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
      const answer = await ask(bed.engine, {
        method: "POST",
        path: "/volumes/create",
        body,
        headers,
      });
      assert.deepEqual([answer.status, messageOf(answer)], [400, message]);
    }
    for (const method of ["GET", "DELETE"]) {
      const answer = await ask(bed.engine, { method, path: "/volumes/" });
      assert.deepEqual([answer.status, messageOf(answer)], [404, "get: no such volume"]);
    }
  });
  it("list by filters", async () => {
    await post({ Name: "second", Labels: { a: "c" } });
    await docker("create", "--name", "user", "-v", "second:/v", "busybox");
    const named = async (filter: object): Promise<string[]> => {
      const answer = await ask(bed.engine, { path: `/volumes?filters=${filters(filter)}` });
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
    const used = await ask(bed.engine, { method: "DELETE", path: "/volumes/second?force=1" });
    assert.deepEqual(
      [used.status, messageOf(used)],
      [409, `remove second: volume is in use - [${id}]`],
    );
    const missing = await ask(bed.engine, { method: "DELETE", path: "/volumes/nobody" });
    assert.deepEqual([missing.status, messageOf(missing)], [404, "get nobody: no such volume"]);
    assert.equal(
      (await ask(bed.engine, { method: "DELETE", path: "/volumes/nobody?force=1" })).status,
      204,
    );
    await docker("rm", "user");
    assert.equal(
      (await ask(bed.engine, { method: "DELETE", path: "/volumes/second" })).status,
      204,
    );
  });
  it("prune named volumes only when asked to, or asked in an old version", async () => {
    await post({ Name: "kept", Labels: { keep: "" } });
    const prune = async (version: string, filter: object): Promise<string[]> => {
      const where = `/${version}/volumes/prune?filters=${filters(filter)}`;
      const answer = await ask(bed.engine, { method: "POST", path: where });
      return (JSON.parse(answer.body) as { VolumesDeleted: string[] }).VolumesDeleted;
    };
    const [anonymous] = await prune("v1.42", {});
    assert.match(anonymous ?? "", /^[0-9a-f]{64}$/);
    assert.deepEqual(await prune("v1.42", {}), []);
    assert.deepEqual(await prune("v1.42", { all: ["true"], "label!": ["keep"] }), ["first"]);
    assert.deepEqual(await prune("v1.41", {}), ["kept"]);
    assert.deepEqual(await volumes(), []);
  });
  it("refuse to remove what the host has mounted over, and prune the others", async () => {
    for (const name of ["over", "spare"]) await docker("volume", "create", name);
    const files = await docker("volume", "inspect", "-f", "{{.Mountpoint}}", "over");
    await mustRun(["mount", "-t", "tmpfs", "tmpfs", files]);
    try {
      await writeFile(path.join(files, "precious"), "");
      const refused = await bed.engine.tryDocker(["volume", "rm", "-f", "over"]);
      assert.equal(
        refused.stderr,
        `Error response from daemon: remove over: error removing volume path '${files}': unlinkat ${files}: device or resource busy\n`,
      );
      assert.match(await docker("volume", "prune", "-af"), /^Deleted Volumes:\nspare\n/);
      assert.deepEqual(await volumes(), ["over"]);
      assert.equal(await run("-v", "over:/v", "busybox", "ls", "/v"), "precious");
    } finally {
      await mustRun(["umount", files]);
    }
    await docker("volume", "rm", "over");
  });
  it("start nothing over a volume whose folder is gone: its disk may only not be mounted", async () => {
    await docker("volume", "create", "lost");
    const files = await docker("volume", "inspect", "-f", "{{.Mountpoint}}", "lost");
    const [folder, away] = [path.dirname(files), path.join(bed.engine.root, "away")];
    await rename(folder, away);
    const why = `error evaluating symlinks from mount source "${files}": lstat ${folder}: no such file or directory`;
    const refused = await bed.engine.tryDocker(["run", "--name", "on", "-v", "lost:/v", "busybox"]);
    assert.deepEqual([refused.code, refused.stderr.includes(`${why}\n`)], [127, true]);
    await rename(away, folder);
    await docker("start", "on");
    await docker("rm", "-f", "on");
    await docker("volume", "rm", "lost");
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
    assert.equal(mountsBelow(bed.engine.root).length, 1);
    await docker("rm", "-f", held);
    await eventually(() => mountsBelow(bed.engine.root).length === 0);
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
    const folder = path.join(bed.engine.root, "bound");
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
    const folder = path.join(bed.engine.root, "bound-ro");
    await mkdir(folder);
    const options = ["-o", "type=none", "-o", `device=${folder}`, "-o", "o=bind,ro"];
    await docker("volume", "create", ...options, "bound-ro");
    const refused = await bed.engine.tryDocker([
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
    const refused = await bed.engine.tryDocker(["run", "--rm", "-v", "remote:/r", "busybox"]);
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
    await docker("create", "--name", "filler", "-v", "filled:/data", imageWithData);
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
    await docker("create", "--name", "filler", "-v", "early:/data", imageWithData);
    assert.equal(await docker("exec", id, "cat", "/x/file"), "of the image");
    await docker("exec", id, "touch", "/x/written");
    await docker("rm", "-f", id, "filler");
    assert.equal(await run("-v", "early:/x", "busybox", "ls", "/x/written"), "/x/written");
  });
  it("is filled where a link of the image leads, and stays empty with nocopy or when it has something", async () => {
    assert.equal(await run("-v", "linked:/todata", imageWithData, "ls", "/todata/"), "file\nlink");
    assert.equal(await run("-v", "empty:/data:nocopy", imageWithData, "ls", "/data"), "");
    assert.equal(
      await run("--mount", "type=volume,dst=/data,volume-nocopy", imageWithData, "ls", "/data"),
      "",
    );
    await run("-v", "busy:/v", "busybox", "touch", "/v/own");
    assert.equal(await run("-v", "busy:/data", imageWithData, "ls", "/data"), "own");
    await removeVolumes();
  });
  it("without a name goes with its container: by --rm, and by rm -v", async () => {
    await run(imageWithData, "true");
    assert.deepEqual(await volumes(), []);
    const kept = await docker("create", imageWithData);
    await docker("rm", kept);
    assert.equal((await volumes()).length, 1);
    await removeVolumes();
    const named = await docker("create", "-v", "named:/n", "-v", "/unnamed", imageWithData);
    assert.equal((await volumes()).length, 3);
    await docker("rm", "-v", named);
    assert.deepEqual(await volumes(), ["named"]);
    await removeVolumes();
  });
  it("that a refused create has made is gone again", async () => {
    const refused = await bed.engine.tryDocker([
      "create",
      "-v",
      "made:/m",
      "--mount",
      "type=bind,src=/no/such/path,dst=/b",
      imageWithData,
    ]);
    assert.match(
      refused.stderr,
      /invalid mount config for type "bind": bind source path does not exist: \/no\/such\/path/,
    );
    assert.deepEqual(await volumes(), []);
  });
});

describe("a lost database", () => {
  it("loses no volume: those found on disk are taken over", async () => {
    await run("-v", "survivor:/v", "busybox", "sh", "-c", "echo -n precious > /v/f");
    await docker("create", "--name", "forgotten", "-v", "other:/v", "-v", "/anonymous", "busybox");
    const before = await volumes();
    assert.equal(before.length, 3);
    await bed.engine.stop();
    const folder = path.join(bed.engine.dataRoot, "container-service");
    // The engine refuses to go on without its database as long as the file beside it names one.
    const lost = (await readdir(folder)).filter((name) => /^(state\.db|store-id)/.test(name));
    assert.ok(lost.length >= 2, lost.join());
    for (const name of lost) await rm(path.join(folder, name));
    await bed.engine.startSupervisor();
    assert.deepEqual(await volumes(), before);
    assert.equal(await run("-v", "survivor:/v", "busybox", "cat", "/v/f"), "precious");
    await docker("volume", "prune", "-f");
    assert.deepEqual(await volumes(), before, "an adopted volume was taken for an anonymous one");
    await removeVolumes();
  });
});
