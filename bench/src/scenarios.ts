/** The rows of design section 5 that are times. */
import { setTimeout as pause } from "node:timers/promises";
import { cleanEnvironment, mustRun } from "@gantry/testkit/run";
import { engineCpuOf } from "./cpu-time.ts";
import type { Engine } from "./engine.ts";
import type { Timed } from "./measure.ts";
import { docker } from "./measure.ts";

/** Name of the container that exec rows run in. */
export const idleContainer = "bench-idle";

/** Rows that need only the busybox image and one idle container. */
export function commandRows(rounds: number): Timed[] {
  const command = (
    title: string,
    goal: number,
    args: readonly string[],
    count = rounds,
  ): Timed => ({
    title,
    goal,
    net: true,
    rounds: count,
    act: async (engine) => {
      await docker(engine, args);
      return undefined;
    },
  });
  return [
    command("run --rm busybox true, bridge", 0.25, ["run", "--rm", "busybox", "true"]),
    command("run --rm busybox true, host network", 0.3, [
      "run",
      "--rm",
      "--network",
      "host",
      "busybox",
      "true",
    ]),
    command("run --rm busybox true, no network", 0.3, [
      "run",
      "--rm",
      "--network",
      "none",
      "busybox",
      "true",
    ]),
    command("exec true", 0.45, ["exec", idleContainer, "true"]),
    { ...command("ps (whole)", 1.1, ["ps"]), net: false },
    {
      title: "20 runs, 10 at a time (whole)",
      goal: 0.3,
      net: false,
      rounds: Math.max(3, Math.ceil(rounds / 5)),
      act: twentyRuns,
    },
    {
      title: "1 GiB through run to the client (whole)",
      goal: 1.0,
      net: false,
      rounds: 3,
      act: gibibyteOut,
    },
  ];
}

async function twentyRuns(engine: Engine): Promise<undefined> {
  const queue = Array.from({ length: 20 }, (_, index) => index);
  const worker = async (): Promise<void> => {
    while (queue.pop() !== undefined) await docker(engine, ["run", "--rm", "busybox", "true"]);
  };
  await Promise.all(Array.from({ length: 10 }, worker));
  return undefined;
}

async function gibibyteOut(engine: Engine): Promise<undefined> {
  const script = "docker run --rm --log-driver none busybox head -c 1073741824 /dev/zero | wc -c";
  const counted = await mustRun(["sh", "-c", script], {
    env: cleanEnvironment({ DOCKER_HOST: engine.dockerHost }),
  });
  if (counted.stdout.trim() !== "1073741824")
    throw new Error(`${engine.name} delivered ${counted.stdout.trim()} of 1073741824 bytes`);
  return undefined;
}

/** So long engines are left alone before a pull: they remove files and sync disks behind their answers. */
const settleMs = 2000;

/** Removes an image where it is there, and lets the engine come to rest. */
export async function forgetImage(engine: Engine, reference: string): Promise<void> {
  await docker(engine, ["rmi", "-f", reference]).catch((error: unknown) => {
    if (!String(error).includes("No such image")) throw error;
  });
  await pause(settleMs);
}

/** Pulls of an image that a registry serves to both engines at the same address. */
export function pullRows(reference: string, rounds: number): Timed[] {
  const forget = (engine: Engine): Promise<void> => forgetImage(engine, reference);
  const pull = async (engine: Engine): Promise<undefined> => {
    await docker(engine, ["pull", "-q", reference]);
    return undefined;
  };
  return [
    {
      title: "pull of 5 layers, 300 MB: wall time",
      goal: 0.6,
      net: false,
      rounds,
      before: forget,
      act: pull,
    },
    {
      title: "pull of 5 layers, 300 MB: user + system time of the engine",
      goal: 1.0,
      net: false,
      rounds,
      before: forget,
      act: async (engine) => await engineCpuOf(engine, () => pull(engine)),
    },
  ];
}
