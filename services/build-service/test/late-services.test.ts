/** Services may be started in any order: build-service waits for those that it works with. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { servicePaths } from "@gantry/config";
import { SystemService } from "@gantry/proto/system";
import { openChannel } from "@gantry/rpc";
import { type EngineRoots, eventually, findLeaks, openEngineRoots } from "@gantry/testkit";
import { startService } from "@gantry/testkit/service-process";

const entry = path.resolve(import.meta.dirname, "../src/main.ts");

interface Waiting {
  readonly child: ChildProcess;
  /** How often it has said so. */
  count(): number;
}

function startAlone({ env }: EngineRoots): Waiting {
  const child = spawn(process.execPath, [entry], {
    env: { ...env, GANTRY_LOG_LEVEL: "info" },
    stdio: ["ignore", "inherit", "pipe"],
  });
  let log = "";
  child.stderr.on("data", (chunk: Buffer) => {
    log += chunk.toString();
  });
  return { child, count: () => log.match(/"msg":"waiting"/g)?.length ?? 0 };
}

describe("build-service without the others", () => {
  it("is not there until they are, and then serves", async () => {
    await using roots = await openEngineRoots();
    const { grpcSocket } = servicePaths(roots.config, "build-service");
    const { child, count } = startAlone(roots);
    try {
      await eventually(() => count() >= 3, { timeoutMs: 60_000 });
      assert.ok(!existsSync(grpcSocket), "it serves already");
      await using _images = await startService({ roots, name: "image-service" });
      await using _containers = await startService({ roots, name: "container-service" });
      using channel = openChannel(grpcSocket);
      await channel.ready(60_000);
      assert.equal(child.exitCode, null);
      const exited = once(child, "exit");
      child.kill("SIGTERM");
      assert.deepEqual(await exited, [0, null]);
      // Its bridge and rules are to go, too.
      using containers = openChannel(servicePaths(roots.config, "container-service").grpcSocket);
      await containers.client(SystemService).shutdown({});
    } finally {
      child.kill("SIGKILL");
    }
    const { cgroupParent, linkPrefix, nftTable } = roots.config;
    assert.deepEqual(await findLeaks({ root: roots.path, cgroupParent, linkPrefix, nftTable }), []);
  });

  it("ends when it is told to while it waits", async () => {
    await using roots = await openEngineRoots();
    const { child, count } = startAlone(roots);
    try {
      await eventually(() => count() >= 1, { timeoutMs: 60_000 });
      const exited = once(child, "exit");
      child.kill("SIGTERM");
      assert.deepEqual(await exited, [0, null]);
    } finally {
      child.kill("SIGKILL");
    }
  });
});
