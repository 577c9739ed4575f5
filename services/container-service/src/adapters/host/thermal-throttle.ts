/** Counters of heat, per CPU: they tell what neighbours do, so containers do not see them. */
import { existsSync, readdirSync } from "node:fs";
import nodePath from "node:path";

/** The counters that this machine has, by number of their CPU. */
export function thermalThrottlePaths(folder = "/sys/devices/system/cpu"): string[] {
  return readdirSync(folder)
    .flatMap((name) => /^cpu(\d+)$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((one, other) => one - other)
    .map((cpu) => nodePath.join(folder, `cpu${String(cpu)}`, "thermal_throttle"))
    .filter((path) => existsSync(path));
}
