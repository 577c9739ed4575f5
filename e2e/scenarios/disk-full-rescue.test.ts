/**
 * What a full disk must not refuse, as dockerd does not: looking after containers, and making room again. The engine's
 * log and NATS have another disk: they grow by what happens, and what a restart gives back it needs a moment later.
 */
import assert from "node:assert/strict";
import { mkdir, symlink, truncate } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { openTempDir } from "@gantry/fs";
import { type LoopFilesystem, openLoopFilesystem } from "@gantry/testkit/loop-filesystem";
import { TestEngine } from "@gantry/testkit/test-engine";
import { untilPasses } from "@gantry/testkit/until-passes";

const mebibyte = 2 ** 20;

let disk: LoopFilesystem;
let engine: TestEngine;
const cleanUp = new AsyncDisposableStack();
before(async () => {
  disk = cleanUp.use(await openLoopFilesystem(96 * mebibyte));
  const elsewhere = cleanUp.use(await openTempDir("gantry-elsewhere-", "/tmp"));
  const dataRoot = path.join(disk.path, "data");
  await mkdir(dataRoot);
  for (const name of ["log", "nats"]) {
    await mkdir(path.join(elsewhere.path, name));
    await symlink(path.join(elsewhere.path, name), path.join(dataRoot, name));
  }
  engine = cleanUp.use(await TestEngine.start({ env: { GANTRY_DATA_ROOT: dataRoot } }));
});
after(async () => {
  await cleanUp.disposeAsync();
});

const docker = async (...args: string[]): Promise<string> => await engine.docker(args);

/** Runs a container that ends with 7 when it is asked to. */
async function sleeper(...options: string[]): Promise<string> {
  const program = "trap 'exit 7' TERM; while :; do sleep 0.1; done";
  return await docker("run", "-d", ...options, "busybox", "sh", "-c", program);
}

/** The whole of a test's work while nobody can write a new block. */
async function onFullDisk(work: () => Promise<void>): Promise<void> {
  const giveBack = await disk.fill();
  try {
    await work();
  } finally {
    await giveBack();
  }
}

async function endOf(container: string): Promise<void> {
  process.kill(Number(await docker("inspect", "-f", "{{.State.Pid}}", container)), "SIGKILL");
}

async function restarted(container: string): Promise<void> {
  await untilPasses(async () => {
    const format = "{{.State.Status}} {{.RestartCount}} {{.State.Error}}";
    assert.equal(await docker("inspect", "-f", format, container), "running 1 ");
  });
}

describe("on a full disk", () => {
  it("containers are frozen and thawed, and say so", async () => {
    const [one, frozen] = [await sleeper(), await sleeper()];
    await docker("pause", frozen);
    await onFullDisk(async () => {
      await docker("pause", one);
      assert.equal(await docker("inspect", "-f", "{{.State.Status}}", one), "paused");
      await docker("unpause", one, frozen);
      await docker("exec", frozen, "true");
    });
    assert.equal(
      await docker("inspect", "-f", "{{.State.Status}}", one, frozen),
      "running\nrunning",
    );
    await docker("rm", "-f", one, frozen);
  });

  it("health checks tell of what they find", async () => {
    const check = ["--health-cmd", "test ! -e /dev/shm/ill", "--health-interval", "100ms"];
    const id = await sleeper(...check, "--health-retries", "1");
    const health = (): Promise<string> => docker("inspect", "-f", "{{.State.Health.Status}}", id);
    await untilPasses(async () => {
      assert.equal(await health(), "healthy");
    });
    await onFullDisk(async () => {
      await docker("exec", id, "touch", "/dev/shm/ill");
      await untilPasses(async () => {
        assert.equal(await health(), "unhealthy");
      });
    });
    const until = String(Math.ceil(Date.now() / 1000) + 1);
    const filters = [`container=${id}`, "event=health_status"].flatMap((each) => ["-f", each]);
    const range = ["--since", "0", "--until", until, "--format", "{{.Action}}"];
    assert.equal(
      await docker("events", ...range, ...filters),
      "health_status: healthy\nhealth_status: unhealthy",
    );
    await docker("rm", "-f", id);
  });

  it("a restart policy does its work", async () => {
    const [always, onFailure] = [
      await sleeper("--restart", "always"),
      await sleeper("--restart", "on-failure:3"),
    ];
    await onFullDisk(async () => {
      for (const id of [always, onFailure]) await endOf(id);
      for (const id of [always, onFailure]) await restarted(id);
    });
    await docker("rm", "-f", always, onFailure);
  });

  it("a restart that needs more than there is comes when there is room, with the true count", async () => {
    const id = await sleeper("--restart", "always");
    const folder = path.join(engine.dataRoot, "container-service/containers", id);
    // One that has grown since, as with a network joined meanwhile, would need more room than before, too.
    await truncate(path.join(folder, "config.json"));
    await onFullDisk(async () => {
      await endOf(id);
      await untilPasses(async () => {
        const format = "{{.State.Status}} {{.RestartCount}} {{.State.Error}}";
        const state = await docker("inspect", "-f", format, id);
        assert.match(state, /^restarting 0 .*no space left on device/i);
      });
    });
    await untilPasses(async () => {
      assert.match(
        await docker("inspect", "-f", "{{.State.Status}} {{.RestartCount}}", id),
        /^running 1/,
      );
    });
    await docker("rm", "-f", id);
  });

  it("whatever holds room is removed", async () => {
    const [gone, stopped, created] = [
      await sleeper("--rm"),
      await sleeper("--rm"),
      await docker("create", "busybox"),
    ];
    await docker("volume", "create", "full");
    await docker("network", "create", "full");
    await docker("tag", "busybox", "other");
    await onFullDisk(async () => {
      await endOf(gone);
      await docker("stop", stopped);
      await docker("rm", created);
      await untilPasses(async () => {
        assert.equal(await docker("ps", "-aq"), "");
      });
      await docker("volume", "rm", "full");
      await docker("network", "rm", "full");
      await docker("rmi", "other");
    });
  });
});
