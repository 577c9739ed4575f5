/** Rows of many containers that run at the same time. */
import { setTimeout as pause } from "node:timers/promises";
import { machineCpuOf } from "./cpu-time.ts";
import type { Engine } from "./engine.ts";
import { call } from "./engine-api.ts";
import type { Timed } from "./measure.ts";
import { docker } from "./measure.ts";

const checkedCount = 50;
const label = "bench-crowd";
/** So long the checks are watched. */
const watchedMs = 10_000;
const nanosPerSecond = 1_000_000_000;

export function crowdRows(): Timed[] {
  return [
    {
      title: `CPU of ${String(checkedCount)} containers with a health check each second, for ${String(watchedMs / 1000)} s`,
      goal: 0.4,
      net: false,
      rounds: 2,
      before: startChecked,
      act: async (engine) => {
        const spent = await machineCpuOf(() => pause(watchedMs));
        // The other engine is watched next, alone.
        await removeCrowd(engine);
        return spent;
      },
    },
  ];
}

async function startChecked(engine: Engine): Promise<void> {
  const names = Array.from({ length: checkedCount }, (_, index) => `checked-${String(index)}`);
  const Healthcheck = {
    Test: ["CMD", "true"],
    Interval: nanosPerSecond,
    Timeout: nanosPerSecond * 5,
  };
  const Labels = { [label]: "" };
  for (const name of names) {
    const config = { Image: "busybox", Cmd: ["sleep", "100000"], Healthcheck, Labels };
    await call(engine, "POST", `/containers/create?name=${name}`, config);
    await call(engine, "POST", `/containers/${name}/start`);
  }
}

async function removeCrowd(engine: Engine): Promise<void> {
  const ids = await docker(engine, ["ps", "-aq", "--filter", `label=${label}`]);
  await docker(engine, ["rm", "-f", ...ids.split("\n").filter((id) => id !== "")]);
}
