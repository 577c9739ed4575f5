/** Rows of long lists of containers. */
import type { Engine } from "./engine.ts";
import { call } from "./engine-api.ts";
import type { Timed } from "./measure.ts";
import { docker } from "./measure.ts";

const containerCount = 500;
const label = "bench-listed";

export function listRows(rounds: number): Timed[] {
  return [
    {
      title: `ps -a with ${String(containerCount)} containers (whole)`,
      goal: 1.0,
      net: false,
      rounds,
      before: fill,
      act: async (engine) => {
        await docker(engine, ["ps", "-a"]);
        return undefined;
      },
      after: async (engine) => {
        for (const id of await listed(engine)) await call(engine, "DELETE", `/containers/${id}`);
      },
    },
  ];
}

async function fill(engine: Engine): Promise<void> {
  for (let made = (await listed(engine)).length; made < containerCount; made += 1) {
    await call(engine, "POST", "/containers/create", {
      Image: "busybox",
      Cmd: ["true"],
      Labels: { [label]: String(made) },
    });
  }
}

async function listed(engine: Engine): Promise<string[]> {
  const ids = await docker(engine, ["ps", "-aq", "--filter", `label=${label}`]);
  return ids.split("\n").filter((id) => id !== "");
}
