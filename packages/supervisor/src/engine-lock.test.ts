import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, it } from "node:test";
import { openTempDir } from "@gantry/fs";
import { isEngineLocked, takeEngineLock } from "./engine-lock.ts";

const holder = `
  import { takeEngineLock } from ${JSON.stringify(new URL("engine-lock.ts", import.meta.url).href)};
  await takeEngineLock(process.argv[1]);
  process.stdout.write("held");
  setInterval(() => undefined, 1000);
`;

describe("the engine's lock", () => {
  it("is held by one process only, and free when that is killed", async () => {
    await using folder = await openTempDir("gantry-lock-");
    assert.equal(await isEngineLocked(folder.path), false);
    const args = ["--disable-warning=ExperimentalWarning", "--input-type=module-typescript"];
    const child = spawn(process.execPath, [...args, "-e", holder, folder.path], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(child.stdout, "data");
    assert.equal(await isEngineLocked(folder.path), true);
    await assert.rejects(takeEngineLock(folder.path), { kind: "conflict" });
    child.kill("SIGKILL");
    await once(child, "close");
    assert.equal(await isEngineLocked(folder.path), false);
    await using _lock = await takeEngineLock(folder.path);
  });
});
