/** The rows of design section 5 that are memory: each engine alone on the machine, PSS of all its processes. */
import path from "node:path";
import { makeBusyboxArchive } from "@gantry/testkit/busybox";
import { cleanEnvironment, mustRun } from "@gantry/testkit/run";
import type { Engine } from "./engine.ts";
import { docker } from "./measure.ts";
import { enginePids, pssKiB } from "./memory.ts";
import { startOurs, supervisorMark } from "./ours.ts";
import { startPeer } from "./peer.ts";
import type { MemoryResult } from "./report.ts";

interface Footprint {
  readonly idleKiB: number;
  readonly oneKiB: number;
  readonly twentyKiB: number;
}

/** Starts and measures one engine after the other below `scratch`. */
export async function measureMemory(scratch: string): Promise<MemoryResult[]> {
  const ours = await footprint(async () => await startOurs());
  const peer = await footprint(async () => await startPeer(path.join(scratch, "peer-memory")));
  const perContainer = (of: Footprint): number => (of.twentyKiB - of.oneKiB) / 19;
  return [
    {
      title: "memory per idle container (PSS, from 1 to 20)",
      goal: 0.1,
      oursKiB: perContainer(ours),
      peerKiB: perContainer(peer),
    },
    { title: "all daemons, idle (PSS)", goal: 1.2, oursKiB: ours.idleKiB, peerKiB: peer.idleKiB },
    {
      title: "daemons and 20 containers (PSS)",
      goal: 0.65,
      oursKiB: ours.twentyKiB,
      peerKiB: peer.twentyKiB,
    },
  ];
}

async function footprint(start: () => Promise<Engine>): Promise<Footprint> {
  await using engine = await start();
  await mustRun(["docker", "load"], {
    env: cleanEnvironment({ DOCKER_HOST: engine.dockerHost }),
    input: await makeBusyboxArchive(),
  });
  const measureNow = async (): Promise<number> =>
    await pssKiB(await enginePids(engine.mark, [supervisorMark]));
  const idleKiB = await measureNow();
  const startOne = async (index: number): Promise<string> =>
    await docker(engine, [
      "run",
      "-d",
      "--name",
      `idle-${String(index)}`,
      "busybox",
      "sleep",
      "1000000",
    ]);
  await startOne(0);
  const oneKiB = await measureNow();
  for (let index = 1; index < 20; index += 1) await startOne(index);
  return { idleKiB, oneKiB, twentyKiB: await measureNow() };
}
