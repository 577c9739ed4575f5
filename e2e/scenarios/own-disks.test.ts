/** Data on disks of their own: the engine's whole folder, and the folders of which somebody may want one elsewhere. */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync } from "node:fs";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { type LoopFilesystem, openLoopFilesystem } from "@gantry/testkit/loop-filesystem";
import { mustRun } from "@gantry/testkit/run";
import { TestEngine } from "@gantry/testkit/test-engine";
import { untilPasses } from "@gantry/testkit/until-passes";

const mebibyte = 2 ** 20;

/** What every ext4 has at its root. */
const ofDisk = "lost+found";

const folders = [
  "container-service/containers",
  "container-service/volumes",
  "image-service/content",
  "image-service/snapshots",
];

let disk: LoopFilesystem;
let engine: TestEngine;
const mounted = (): string[] => folders.map((folder) => path.join(disk.path, folder));
before(async () => {
  disk = await openLoopFilesystem(128 * mebibyte);
  // Nothing can be renamed across mounts, not even between two of one disk (rename(2), EXDEV).
  for (const point of mounted()) {
    mkdirSync(path.join(point, ofDisk), { recursive: true });
    await mustRun(["mount", "--bind", point, point]);
  }
  engine = await TestEngine.start({ env: { GANTRY_DATA_ROOT: disk.path } });
});
after(async () => {
  await engine[Symbol.asyncDispose]();
  for (const point of mounted()) await mustRun(["umount", point]);
  await disk[Symbol.asyncDispose]();
});

describe("an engine whose folders are disks", () => {
  it("makes and removes containers, volumes and images", async () => {
    await engine.docker(["run", "--rm", "-v", "/anonymous", "busybox", "true"]);
    await engine.docker(["run", "--name", "maker", "-v", "named:/v", "busybox", "touch", "/made"]);
    await engine.docker(["commit", "maker", "committed"]);
    await engine.docker(["rm", "maker"]);
    await engine.docker(["volume", "rm", "named"]);
    const archive = path.join(engine.root, "saved.tar");
    await engine.docker(["save", "-o", archive, "committed"]);
    await engine.docker(["rmi", "committed"]);
    await engine.docker(["load", "-i", archive]);
    assert.equal(
      await engine.docker(["run", "--rm", "committed", "sh", "-c", "echo /made"]),
      "/made",
    );
    const context = path.join(engine.root, "context");
    mkdirSync(context);
    const dockerfile = "FROM committed\nRUN mkdir /built\nCOPY . /built\n";
    await engine.docker(["build", "-q", "-t", "built", "-f", "-", context], { input: dockerfile });
    await engine.docker(["run", "--rm", "built", "test", "-d", "/built"]);
  });

  it("leaves alone what is the disk's, and takes it for nothing of its own", async () => {
    await engine.docker(["create", "--name", "kept", "-v", "kept:/v", "busybox", "true"]);
    await engine.stop();
    await engine.startSupervisor();
    assert.equal(await engine.docker(["volume", "ls", "-q"]), "kept");
    assert.equal(await engine.docker(["ps", "-a", "--format", "{{.Names}}"]), "kept");
    await engine.docker(["start", "-a", "kept"]);
    for (const point of mounted()) assert.ok(readdirSync(point).includes(ofDisk), point);
  });

  it("gives back everything", async () => {
    await engine.docker(["rm", "kept"]);
    await engine.docker(["volume", "rm", "kept"]);
    await engine.docker(["image", "prune", "-af"]);
    await engine.docker(["builder", "prune", "-af"]);
    const left = {
      containers: [".trash"],
      volumes: [".trash"],
      snapshots: [".trash", "base", "empty"],
    };
    await untilPasses(() => {
      const [containers = "", volumes = "", content = "", snapshots = ""] = mounted();
      const list = (folder: string): string[] =>
        readdirSync(folder)
          .filter((name) => name !== ofDisk)
          .sort();
      assert.deepEqual(
        { containers: list(containers), volumes: list(volumes), snapshots: list(snapshots) },
        left,
      );
      assert.deepEqual(list(path.join(content, "blobs/sha256")), []);
      for (const point of mounted()) assert.deepEqual(list(path.join(point, ".trash")), [], point);
    });
  });
});
