/** Volumes, copies, networks and containers on a disk that is full or read-only: who asked is told, and nothing is left. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  closeSync,
  fdatasyncSync,
  globSync,
  mkdirSync,
  openSync,
  readdirSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { hasErrno } from "@gantry/errors";
import { type LoopFilesystem, openLoopFilesystem } from "@gantry/testkit/loop-filesystem";
import { TestEngine } from "@gantry/testkit/test-engine";
import { untilPasses } from "@gantry/testkit/until-passes";

const mebibyte = 2 ** 20;

let disk: LoopFilesystem;
let engine: TestEngine;
let source: string;
before(async () => {
  disk = await openLoopFilesystem(96 * mebibyte);
  engine = await TestEngine.start({ env: { GANTRY_DATA_ROOT: path.join(disk.path, "data") } });
  source = path.join(engine.root, "tree");
  mkdirSync(source);
  writeFileSync(path.join(source, "large"), Buffer.alloc(2 * mebibyte));
  await engine.docker(["run", "--name", "maker", "busybox", "sh", "-c", makesData]);
  await engine.docker(["commit", "maker", "filled"]);
  await engine.docker(["rm", "maker"]);
  await engine.docker(["volume", "create", "plain"]);
  await engine.docker(["network", "create", "netty"]);
  await engine.docker(["run", "-d", "--name", "up", "busybox", "sleep", "1000"]);
  await engine.docker(["create", "--name", "down", "-v", "held:/vol", "busybox", "true"]);
});
after(async () => {
  await engine[Symbol.asyncDispose]();
  await disk[Symbol.asyncDispose]();
});

/** Takes all space but so much, once nothing is given back any more. */
async function fill(leaveBytes?: number): Promise<() => Promise<void>> {
  const trash = path.join(engine.dataRoot, "image-service/*/.trash/*");
  await untilPasses(() => {
    assert.deepEqual(globSync(trash), []);
  });
  execFileSync("sync", ["-f", disk.path]);
  const giveBack = await disk.fill(leaveBytes);
  if (leaveBytes === undefined) takeLastBlocks(path.join(disk.path, "ballast/last"));
  return giveBack;
}

/** Blocks are smaller than a page here: one of them is enough for a folder. */
function takeLastBlocks(file: string): void {
  const fd = openSync(file, "w");
  try {
    for (;;) {
      writeSync(fd, Buffer.alloc(1024, 1));
      fdatasyncSync(fd);
    }
  } catch (error) {
    if (!hasErrno(error, "ENOSPC")) throw error;
  } finally {
    closeSync(fd);
  }
}

const makesData = "mkdir /data; head -c 2000000 /dev/zero > /data/large; touch /data/small";

async function said(...args: string[]): Promise<string> {
  const ran = await engine.tryDocker(args);
  assert.notEqual(ran.code, 0, `docker ${args.join(" ")}: ${ran.stdout}`);
  const lines = ran.stderr.split("\n").filter((line) => line.startsWith("Error response"));
  return lines.join("\n").replace("Error response from daemon: ", "");
}

/** What a client and the machine see of all of it. */
async function everything(): Promise<Record<string, unknown>> {
  const list = async (...args: string[]): Promise<string[]> =>
    (await engine.docker(args)).split("\n").toSorted();
  const data = path.join(engine.dataRoot, "container-service");
  const links = execFileSync("ip", ["-br", "link"], { encoding: "utf8" }).split("\n");
  const format = "{{json .NetworkSettings.Networks}}";
  return {
    volumes: await list("volume", "ls", "-q"),
    networks: await list("network", "ls", "-q"),
    containers: await list("ps", "-aq"),
    up: JSON.parse(await engine.docker(["inspect", "-f", format, "up"])) as unknown,
    down: JSON.parse(await engine.docker(["inspect", "-f", format, "down"])) as unknown,
    interfaces: await engine.docker(["exec", "up", "ls", "/sys/class/net"]),
    links: links.filter((line) => line.startsWith(engine.linkPrefix)).length,
    folders: ["volumes", "volumes/.trash", "containers", "containers/.trash", "image-mounts"].map(
      (name) => readdirSync(path.join(data, name)),
    ),
    snapshots: readdirSync(path.join(engine.dataRoot, "image-service/snapshots")),
  };
}

/** What needs a new block, or a write. */
async function isRefused(reason: string): Promise<void> {
  const folder = path.join(engine.dataRoot, "container-service/volumes/fresh");
  const about = `create fresh: error while creating volume root path '${folder}': mkdir ${folder}`;
  assert.equal(await said("volume", "create", "fresh"), `${about}: ${reason}`);
  const ends = (text: string): void => {
    assert.ok(text.endsWith(reason) && !/E[A-Z]+: /.test(text), text);
  };
  for (const asked of [
    ["busybox", "true"],
    ["-v", "/data", "filled", "true"],
    ["-v", "fresh:/data", "filled", "true"],
    ["-v", "plain:/data", "filled", "true"],
    ["--mount", "type=volume,src=fresh,dst=/data", "filled", "true"],
  ])
    ends(await said("create", ...asked));
  for (const target of ["up:/", "down:/", "down:/vol"]) ends(await said("cp", source, target));
}

describe("a full disk", () => {
  it("refuses volumes, containers with volumes to fill, and copies, and none of it is left", async () => {
    const was = await everything();
    const giveBack = await fill();
    try {
      await isRefused("no space left on device");
      assert.deepEqual(await everything(), was);
    } finally {
      await giveBack();
    }
    for (const place of ["up:/", "down:/vol"]) await engine.docker(["cp", source, place]);
    await engine.docker(["volume", "create", "fresh"]);
    await engine.docker(["volume", "rm", "fresh"]);
  });

  it("refuses to fill a volume for which there is a folder, but no room", async () => {
    const was = await everything();
    const giveBack = await fill(400_000);
    try {
      assert.match(await said("create", "-v", "fresh:/data", "filled", "true"), /no space left/);
      assert.match(await said("create", "-v", "plain:/data", "filled", "true"), /no space left/);
      assert.deepEqual(await everything(), was);
    } finally {
      await giveBack();
    }
    const files = ["run", "--rm", "-v", "plain:/data", "filled", "ls", "/data"];
    assert.equal(await engine.docker(files), "large\nsmall");
  });
});

// The last, since the disk stays so.
describe("a disk that has become read-only", () => {
  it("refuses all that changes anything, and everything is as it was", async () => {
    await engine.docker(["network", "connect", "netty", "down"]);
    const was = await everything();
    await disk.makeReadOnly();
    const folder = path.join(engine.dataRoot, "container-service/volumes/fresh");
    const about = `create fresh: error while creating volume root path '${folder}': mkdir ${folder}`;
    assert.equal(await said("volume", "create", "fresh"), `${about}: read-only file system`);
    for (const target of ["up:/", "down:/", "down:/vol"])
      assert.match(await said("cp", source, target), /(?<!marked )read-only file system$/, target);
    for (const refused of [
      ["create", "busybox", "true"],
      ["create", "-v", "/data", "filled", "true"],
      ["volume", "rm", "plain"],
      ["network", "create", "fresh"],
      ["network", "rm", "netty"],
      ["network", "connect", "netty", "up"],
      ["network", "disconnect", "netty", "down"],
      ["network", "disconnect", "bridge", "up"],
      ["rename", "down", "other"],
    ])
      assert.match(
        await said(...refused),
        /read-only file system|disk I\/O error/,
        refused.join(" "),
      );
    assert.deepEqual(await everything(), was);
    assert.equal(await engine.docker(["exec", "up", "echo", "alive"]), "alive");
  });
});
