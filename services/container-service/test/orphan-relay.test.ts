/** Relays that nobody can reach any more are ended, whatever else there is on the machine. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { openTempDir } from "@gantry/fs";
import { loadKernel } from "@gantry/native";
import { eventually } from "@gantry/testkit";
import { hasEnded } from "@gantry/testkit/has-ended";
import { openStuckProcess } from "@gantry/testkit/stuck-process";
import { endOrphanRelays, relayTitle } from "../src/adapters/network/orphan-relay.ts";

const listener = `require("node:net").createServer().listen(process.argv[1], () => console.log("listens"))`;

/** A program of this name that listens at a path, which is taken away from it. */
async function unreachable(name: string, socketPath: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, ["-e", listener, socketPath], {
    argv0: name,
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  rmSync(socketPath);
  // Whoever ends it may have reaped it, too: Node would wait for it for ever.
  child.unref();
  child.stdout.destroy();
  return child;
}

describe("a relay whose socket was taken away", () => {
  it("is ended, while the memory map of a stranger is held because of a frozen disk", async () => {
    await using folder = await openTempDir("gantry-orphan-");
    const socketPath = path.join(folder.path, "relay.sock");
    const relay = await unreachable(relayTitle, socketPath);
    const other = await unreachable("other", socketPath);
    await using _stuck = await openStuckProcess();
    assert.equal(await endOrphanRelays(loadKernel(), socketPath), 1);
    assert.ok(hasEnded(relay.pid ?? 0));
    assert.ok(!hasEnded(other.pid ?? 0));
    other.kill("SIGKILL");
    await eventually(() => hasEnded(other.pid ?? 0));
    assert.equal(await endOrphanRelays(loadKernel(), socketPath), 0);
  });
});
