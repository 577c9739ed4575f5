/** The rows of issue 6 that are of networks: by the API where a command's own start would hide the figure. */
import path from "node:path";
import { mustRun } from "@gantry/testkit/run";
import type { Engine } from "./engine.ts";
import { call } from "./engine-api.ts";
import type { Timed } from "./measure.ts";
import { docker } from "./measure.ts";

const ports = "21000-21199:21000-21199";
/** Lookups of one round, and how many are under way at a time. */
const lookups = 5000;
const lookupsAtOnce = 16;

export function networkRows(rounds: number): Timed[] {
  return [
    {
      title: "network create + rm (API)",
      goal: 0.5,
      net: false,
      rounds,
      act: async (engine) => {
        await call(engine, "POST", "/networks/create", { Name: "bench-made", Driver: "bridge" });
        await call(engine, "DELETE", "/networks/bench-made");
        return undefined;
      },
    },
    {
      title: "connect + disconnect of a running container (API)",
      goal: 0.5,
      net: false,
      rounds,
      before: async (engine) => {
        await ensureNetwork(engine, "bench-other");
        await ensureContainer(engine, "bench-guest", []);
      },
      act: async (engine) => {
        await call(engine, "POST", "/networks/bench-other/connect", { Container: "bench-guest" });
        await call(engine, "POST", "/networks/bench-other/disconnect", {
          Container: "bench-guest",
        });
        return undefined;
      },
      after: async (engine) => {
        await docker(engine, ["rm", "-f", "bench-guest"]);
        await docker(engine, ["network", "rm", "bench-other"]);
      },
    },
    {
      title: "run --rm busybox true, bridge, 10 networks present",
      goal: 0.28,
      net: true,
      rounds,
      before: async (engine) => {
        for (const name of tenNetworks) await ensureNetwork(engine, name);
      },
      act: async (engine) => {
        await docker(engine, ["run", "--rm", "busybox", "true"]);
        return undefined;
      },
      after: async (engine) => {
        await docker(engine, ["network", "rm", ...tenNetworks]);
      },
    },
    {
      title: "start with 200 published ports (API)",
      goal: 0.2,
      net: false,
      rounds: Math.max(3, Math.ceil(rounds / 5)),
      before: async (engine) => {
        await removeContainer(engine, "bench-ports");
        await docker(engine, [
          ...["create", "--name", "bench-ports", "-p", ports],
          ...["busybox", "sleep", "1000000"],
        ]);
      },
      act: async (engine) => {
        await call(engine, "POST", "/containers/bench-ports/start");
        return undefined;
      },
      after: async (engine) => {
        await removeContainer(engine, "bench-ports");
      },
    },
    {
      title: `${String(lookups)} answers of the embedded DNS (whole)`,
      goal: 1.0,
      net: false,
      rounds: Math.max(3, Math.ceil(rounds / 5)),
      before: async (engine) => {
        await ensureNetwork(engine, "bench-names");
        await ensureContainer(engine, "bench-named", ["--network", "bench-names"]);
      },
      act: lookUp,
      after: async (engine) => {
        await docker(engine, ["rm", "-f", "bench-named"]);
        await docker(engine, ["network", "rm", "bench-names"]);
      },
    },
  ];
}

const tenNetworks = Array.from({ length: 10 }, (_, index) => `bench-net-${String(index)}`);

/** Milliseconds that the lookups take, asked by a program in the container's network namespace. */
async function lookUp(engine: Engine): Promise<number> {
  const pid = (await docker(engine, ["inspect", "-f", "{{.State.Pid}}", "bench-named"])).trim();
  const program = path.join(import.meta.dirname, "name-load.ts");
  const counts = [String(lookups), String(lookupsAtOnce)];
  const command = ["-n", "-t", pid, process.execPath, program, "bench-named", ...counts];
  return Number((await mustRun(["nsenter", ...command])).stdout);
}

async function ensureNetwork(engine: Engine, name: string): Promise<void> {
  const known = await docker(engine, ["network", "ls", "-q", "-f", `name=^${name}$`]);
  if (known.trim() === "") await docker(engine, ["network", "create", name]);
}

async function ensureContainer(
  engine: Engine,
  name: string,
  args: readonly string[],
): Promise<void> {
  const known = await docker(engine, ["ps", "-q", "-f", `name=^/${name}$`]);
  if (known.trim() !== "") return;
  await docker(engine, ["run", "-d", "--name", name, ...args, "busybox", "sleep", "1000000"]);
}

async function removeContainer(engine: Engine, name: string): Promise<void> {
  const known = await docker(engine, ["ps", "-aq", "-f", `name=^/${name}$`]);
  if (known.trim() !== "") await docker(engine, ["rm", "-f", name]);
}
