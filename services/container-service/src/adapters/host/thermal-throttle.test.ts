import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import nodePath from "node:path";
import { it } from "node:test";
import { openTempDir } from "@gantry/fs";
import { thermalThrottlePaths } from "./thermal-throttle.ts";

it("heat counters are those that the machine has, by CPU", async () => {
  await using folder = await openTempDir("gantry-cpus-");
  const make = (...names: string[]): string => {
    const path = nodePath.join(folder.path, ...names);
    mkdirSync(path, { recursive: true });
    return path;
  };
  const tenth = make("cpu10", "thermal_throttle");
  const second = make("cpu2", "thermal_throttle");
  make("cpu0", "topology");
  make("cpufreq", "thermal_throttle");
  assert.deepEqual(thermalThrottlePaths(folder.path), [second, tenth]);
});
