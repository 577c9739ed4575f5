/** Corners of mounts and copies that applications do meet, as a dockerd 28.5 answers them. */
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, afterEach, before, it } from "node:test";
import { mustRun, run } from "@gantry/testkit/run";
import { TestEngine } from "@gantry/testkit/test-engine";
import { ask } from "../src/http.ts";

let engine: TestEngine;
let folder: string;
const hint =
  "not a directory: Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists and is the expected type";

before(async () => {
  engine = await TestEngine.start();
  folder = path.join(engine.root, "corners");
  await mkdir(path.join(folder, "dir"), { recursive: true });
  await writeFile(path.join(folder, "file"), "");
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});
afterEach(async () => {
  assert.equal(await engine.docker(["ps", "-aq"]), "");
});

it("a tmpfs on a new directory belongs to everybody, one on an existing directory looks like it", async () => {
  const show = "stat -c %a /new /root && touch /new/file";
  const tmpfs = ["--tmpfs", "/new:size=1m", "--tmpfs", "/root"];
  assert.equal(
    await engine.docker(["run", "--rm", "-u", "1000", ...tmpfs, "busybox", "sh", "-c", show]),
    "1777\n755",
  );
  const long = ["--mount", "type=tmpfs,dst=/new"];
  const shown = ["busybox", "stat", "-c", "%a", "/new"];
  assert.equal(await engine.docker(["run", "--rm", ...long, ...shown]), "1777");
});

it("a tmpfs takes the words of its file system and its own propagation", async () => {
  const options = "/new:sync,dirsync,shared";
  const line = await engine.docker([
    ...["run", "--rm", "--tmpfs", options, "busybox"],
    ...["grep", " /new ", "/proc/self/mountinfo"],
  ]);
  assert.match(line, / shared:\d+ .* rw,sync,dirsync/);
});

it("the network's files are read-only where the root is, unless the user has one of them", async () => {
  const own = ["-v", `${folder}/file:/etc/hosts`];
  const show = "grep -o ' /etc/[a-z.]* r[ow]' /proc/self/mountinfo | sort";
  const shown = async (...args: string[]): Promise<string> =>
    await engine.docker(["run", "--rm", ...args, "busybox", "sh", "-c", show]);
  const rest = " /etc/hostname ro\n /etc/hosts ro\n /etc/resolv.conf ro";
  assert.equal(await shown("--read-only"), rest);
  assert.equal(await shown("--read-only", "--network", "none"), rest);
  assert.equal(await shown("--read-only", ...own), rest.replace("hosts ro", "hosts rw"));
  assert.equal(await shown(), rest.replaceAll(" ro", " rw"));
});

it("a file on a directory, or the other way round, is told as such", async () => {
  for (const [source, target] of [
    ["file", "/etc"],
    ["dir", "/etc/passwd"],
  ] as const) {
    const mount = `type=bind,src=${path.join(folder, source)},dst=${target}`;
    const ran = await engine.tryDocker(["run", "--rm", "--mount", mount, "busybox", "true"]);
    assert.ok(ran.stderr.includes(hint), ran.stderr);
    assert.equal(ran.code, 125);
  }
});

it("a link to nowhere is no source", async () => {
  const link = path.join(folder, "dangling");
  await mustRun(["ln", "-s", "/nonexistent", link]);
  const ran = await engine.tryDocker(["run", "--rm", "-v", `${link}:/m`, "busybox", "true"]);
  assert.ok(
    ran.stderr.includes(
      `error while creating mount source path '${link}': mkdir ${link}: file exists`,
    ),
    ran.stderr,
  );
});

it("the root's archive names each path once from the root", async () => {
  await engine.docker(["create", "--name", "whole", "busybox", "true"]);
  const { stdout } = await run(["sh", "-c", "docker cp whole:/ - | tar -tPf -"], {
    env: engine.clientEnv(),
  });
  await engine.docker(["rm", "whole"]);
  const names = stdout.split("\n");
  assert.equal(names[0], "/");
  assert.ok(names.includes("/bin/busybox"), stdout.slice(0, 300));
});

it("an empty driver is shown again, and a duplicate in the words that were given", async () => {
  const create = async (mounts: readonly object[]): Promise<unknown> =>
    JSON.parse(
      (
        await ask(engine, {
          method: "POST",
          path: "/v1.51/containers/create?name=driven",
          body: { Image: "busybox", HostConfig: { Mounts: mounts } },
        })
      ).body,
    );
  const mount = { Type: "volume", Source: "driven", Target: "/m" };
  await create([{ ...mount, VolumeOptions: { DriverConfig: {} } }]);
  assert.equal(
    await engine.docker(["inspect", "-f", "{{json .HostConfig.Mounts}}", "driven"]),
    '[{"Type":"volume","Source":"driven","Target":"/m","VolumeOptions":{"DriverConfig":{}}}]',
  );
  await engine.docker(["rm", "driven"]);
  assert.deepEqual(await create([mount, { ...mount, Target: "/m/" }]), {
    message: "Duplicate mount point: /m/",
  });
});

it("a name that no file system takes, and a filter that old versions add to, are refused in dockerd's words", async () => {
  const name = "a".repeat(300);
  const long = await ask(engine, {
    method: "POST",
    path: "/volumes/create",
    body: { Name: name },
  });
  const root = path.join(engine.dataRoot, "container-service/volumes", name);
  assert.deepEqual(
    [long.status, JSON.parse(long.body)],
    [
      500,
      {
        message: `create ${name}: error while creating volume root path '${root}': mkdir ${root}: file name too long`,
      },
    ],
  );
  const filters = encodeURIComponent('{"all":["1"]}');
  const old = await ask(engine, {
    method: "POST",
    path: `/v1.41/volumes/prune?filters=${filters}`,
  });
  assert.deepEqual(
    [old.status, JSON.parse(old.body)],
    [400, { message: "invalid filter 'all=[1 true]': only one value is expected" }],
  );
});

it("the size of a tmpfs is the kernel's to refuse, at the start", async () => {
  const created = await ask(engine, {
    method: "POST",
    path: "/v1.51/containers/create?name=negative",
    body: {
      Image: "busybox",
      HostConfig: { Mounts: [{ Type: "tmpfs", Target: "/m", TmpfsOptions: { SizeBytes: -1 } }] },
    },
  });
  assert.equal(created.status, 201, created.body);
  const started = await ask(engine, { method: "POST", path: "/containers/negative/start" });
  await engine.docker(["rm", "negative"]);
  assert.equal(started.status, 500, started.body);
});

it("null is a mount without any field", async () => {
  const answer = await ask(engine, {
    method: "POST",
    path: "/v1.47/containers/create",
    body: { Image: "busybox", HostConfig: { Mounts: [null] } },
  });
  assert.deepEqual(
    [answer.status, JSON.parse(answer.body)],
    [400, { message: 'invalid mount config for type "": field Target must not be empty' }],
  );
});

it("an image that was removed by force stays for the containers that have it mounted", async () => {
  await engine.docker(["create", "--name", "maker", "busybox"]);
  await engine.docker(["commit", "maker", "mounted"]);
  await engine.docker(["rm", "maker"]);
  const mount = ["--mount", "type=image,src=mounted,dst=/i"];
  await engine.docker(["run", "--name", "keeps", ...mount, "busybox", "ls", "/i/bin/busybox"]);
  await engine.docker(["rmi", "-f", "mounted"]);
  assert.equal(await engine.docker(["start", "-a", "keeps"]), "/i/bin/busybox");
  await engine.docker(["rm", "keeps"]);
});
