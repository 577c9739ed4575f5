/** A full disk: an error for who asked, nothing corrupt, and work goes on when there is space again. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { globSync } from "node:fs";
import { readdir, readlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, it } from "node:test";
import { openTempDir } from "@gantry/fs";
import { makeImage, makeLayer, putImage } from "@gantry/testkit/image-maker";
import { type LoopFilesystem, openLoopFilesystem } from "@gantry/testkit/loop-filesystem";
import { type Registry, startRegistry } from "@gantry/testkit/registry";
import { TestEngine } from "@gantry/testkit/test-engine";
import { untilPasses } from "@gantry/testkit/until-passes";

const mebibyte = 2 ** 20;
const noSpace = /no space left on device/i;

let disk: LoopFilesystem;
let registry: Registry;
let engine: TestEngine;
const cleanUp = new AsyncDisposableStack();
before(async () => {
  const store = cleanUp.use(await openTempDir("gantry-registry-", "/tmp"));
  registry = cleanUp.use(await startRegistry({ dir: store.path }));
  disk = cleanUp.use(await openLoopFilesystem(96 * mebibyte));
  engine = cleanUp.use(
    await TestEngine.start({ env: { GANTRY_DATA_ROOT: path.join(disk.path, "data") } }),
  );
  const content = randomBytes(8 * mebibyte);
  const layer = await makeLayer([{ header: { name: "noise" }, content }]);
  await putImage(registry.host, "noise", "latest", makeImage({ layers: [layer] }));
});
after(async () => {
  await cleanUp.disposeAsync();
});

/** The command fails, and says why. */
async function refused(args: readonly string[]): Promise<void> {
  const ran = await engine.tryDocker(args);
  assert.notEqual(ran.code, 0, `docker ${args.join(" ")} did not notice: ${ran.stdout}`);
  assert.match(ran.stderr, noSpace, `docker ${args.join(" ")}`);
}

/** Unfinished blobs that image-service has open. One that it has forgotten ends it when memory is tidied up. */
async function openIngests(): Promise<string[]> {
  const files: string[] = [];
  for (const pid of await engine.pidsOf("image-service")) {
    const folder = `/proc/${String(pid)}/fd`;
    for (const fd of await readdir(folder)) {
      // Others of its descriptors come and go meanwhile.
      const file = await readlink(path.join(folder, fd)).catch(() => "");
      if (file.startsWith(path.join(engine.dataRoot, "image-service/content/ingest")))
        files.push(file);
    }
  }
  return files;
}

function assertNotCorrupt(): void {
  const files = globSync(`${engine.dataRoot}/*/*.db`);
  assert.ok(files.length >= 2, "no databases found");
  for (const file of files) {
    const db = new DatabaseSync(file, { readOnly: true });
    assert.deepEqual(
      db
        .prepare("PRAGMA integrity_check")
        .all()
        .map((row) => row["integrity_check"]),
      ["ok"],
      file,
    );
    db.close();
  }
}

describe("a full disk", () => {
  it("is an error for pull, create, start and commit, and none of it is left", async () => {
    const name = `${registry.host}/noise`;
    const archive = path.join(engine.root, "tree.tar");
    await writeFile(archive, await makeLayer([{ header: { name: "file" }, content: "text" }]));
    const made = await engine.docker(["create", "busybox", "sh", "-c", "exit 4"]);
    const running = await engine.docker([
      "run",
      "-d",
      "busybox",
      "sh",
      "-c",
      "head -c 3000000 /dev/zero > /data; while [ ! -e /go ]; do sleep 0.1; done; exit 5",
    ]);
    await untilPasses(async () => {
      assert.equal(await engine.docker(["exec", running, "wc", "-c", "/data"]), "3000000 /data");
    });
    const images = await engine.docker(["images", "-q"]);
    const service = await engine.pidsOf("image-service");
    const giveBack = await disk.fill();
    try {
      await refused(["pull", "-q", name]);
      await refused(["create", "busybox", "true"]);
      await refused(["start", made]);
      await refused(["commit", running]);
      await refused(["import", archive]);
      await untilPasses(async () => {
        assert.deepEqual(await openIngests(), []);
      });
      assert.deepEqual(
        await engine.pidsOf("image-service"),
        service,
        "image-service was restarted",
      );
      assert.equal(await engine.docker(["images", "-q"]), images);
      assert.equal((await engine.docker(["ps", "-aq"])).split("\n").length, 2);
      assert.equal(await engine.docker(["inspect", "-f", "{{.State.Status}}", running]), "running");
    } finally {
      await giveBack();
    }
    await engine.docker(["start", made]);
    assert.equal(await engine.docker(["wait", made]), "4");
    // The container may have ended before its exec is asked about.
    await engine.tryDocker(["exec", running, "touch", "/go"]);
    assert.equal(await engine.docker(["wait", running]), "5");
    await engine.docker(["pull", "-q", name]);
    await engine.docker(["commit", running, "kept"]);
    await engine.docker(["rm", made, running]);
    await engine.docker(["rmi", name, "kept"]);
    assertNotCorrupt();
  });

  it("is an error for a build's steps, and the build is done when there is space again", async () => {
    const env = { ...engine.clientEnv(), DOCKER_BUILDKIT: "0" };
    const build = (dockerfile: string) =>
      engine.tryDocker(["build", "-t", "filling", "-"], { input: dockerfile, env });
    const filling = "FROM busybox\nRUN head -c 5000000 /dev/zero > /zeros\n";
    assert.equal((await build("FROM busybox\nRUN true\n")).code, 0);
    const giveBack = await disk.fill();
    try {
      const ran = await build(filling);
      assert.notEqual(ran.code, 0, ran.stdout);
      assert.match(ran.stdout + ran.stderr, noSpace);
      assert.equal(await engine.docker(["ps", "-aq"]), "");
    } finally {
      await giveBack();
    }
    const done = await build(filling);
    assert.equal(done.code, 0, done.stderr);
    assert.equal(
      await engine.docker(["run", "--rm", "filling", "wc", "-c", "/zeros"]),
      "5000000 /zeros",
    );
    await engine.docker(["rmi", "filling"]);
    assertNotCorrupt();
  });

  it("lets containers run on, keeps their exit codes, and their log goes on after it", async () => {
    const loop =
      "i=0; while [ ! -e /tmp/go ]; do i=$((i+1)); echo line $i; [ $i -lt 20000 ] || sleep 0.1; done; echo last; exit 6";
    const id = await engine.docker(["run", "-d", "--tmpfs", "/tmp", "busybox", "sh", "-c", loop]);
    const giveBack = await disk.fill();
    try {
      // Whatever was refused of its log: it is alive, it can be asked, and its log can be read.
      await untilPasses(async () => {
        assert.ok((await engine.docker(["logs", "--tail", "1", id])).startsWith("line "));
      });
      assert.equal(await engine.docker(["inspect", "-f", "{{.State.Running}}", id]), "true");
      const ending = await engine.tryDocker(["kill", "--signal", "WINCH", id]);
      assert.equal(ending.code, 0, ending.stderr);
    } finally {
      await giveBack();
    }
    await engine.tryDocker(["exec", id, "touch", "/tmp/go"]);
    assert.equal(await engine.docker(["wait", id]), "6");
    const lines = (await engine.docker(["logs", id])).split("\n");
    assert.equal(lines.at(-1), "last");
    assert.ok(
      lines.every((line) => /^(line \d+|last)$/.test(line)),
      "a line is broken",
    );
    await engine.docker(["rm", id]);
  });

  it("keeps the true end of a container that ended meanwhile, also over a crash", async () => {
    const id = await engine.docker([
      "run",
      "-d",
      "--tmpfs",
      "/tmp",
      "busybox",
      "sh",
      "-c",
      "while [ ! -e /tmp/go ]; do sleep 0.1; done; exit 8",
    ]);
    const ended = engine.docker(["wait", id]);
    const pid = await engine.docker(["inspect", "-f", "{{.State.Pid}}", id]);
    const giveBack = await disk.fill();
    try {
      await untilPasses(() => engine.tryDocker(["exec", id, "true"]).then(() => undefined));
      process.kill(Number(pid), "SIGKILL");
      assert.equal(await ended, "137");
      await engine.kill9("container-service");
    } finally {
      await giveBack();
    }
    await engine.ready();
    const state = await engine.docker([
      "inspect",
      "-f",
      "{{.State.Status}} {{.State.ExitCode}}",
      id,
    ]);
    assert.equal(state, "exited 137");
    const until = String(Math.ceil(Date.now() / 1000) + 1);
    const dies = await engine.docker(
      ["events", "--since", "0", "--until", until, "--filter", `container=${id}`].concat([
        "--filter",
        "event=die",
        "--format",
        "{{.Actor.Attributes.exitCode}}",
      ]),
    );
    assert.equal(dies, "137");
    await engine.docker(["rm", id]);
    assertNotCorrupt();
  });
});
