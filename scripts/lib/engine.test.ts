import assert from "node:assert/strict";
import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, it } from "node:test";
import { loadConfig } from "@gantry/config";
import { type EngineState, saveState } from "@gantry/supervisor";
import { untilRestarted } from "./engine.ts";

describe("who waits for a restart", () => {
  const failed: EngineState = { pid: 1, phase: "failed", generation: 1, problem: "old" };
  it("is told nothing of an earlier one that failed", async () => {
    await using folder = await mkdtempDisposable(path.join(tmpdir(), "gantry-restart-"));
    const config = { ...loadConfig(), runRoot: folder.path };
    await saveState(folder.path, failed);
    const done = untilRestarted(config, failed.generation);
    await saveState(folder.path, { ...failed, phase: "restarting", generation: 2, problem: "" });
    await saveState(folder.path, { ...failed, phase: "ready", generation: 2, problem: "" });
    await done;
  });
  it("is told that this one failed, and why", async () => {
    await using folder = await mkdtempDisposable(path.join(tmpdir(), "gantry-restart-"));
    const config = { ...loadConfig(), runRoot: folder.path };
    await saveState(folder.path, { ...failed, generation: 2, problem: "new" });
    await assert.rejects(untilRestarted(config, failed.generation), /^Error: restart failed: new$/);
  });
});
