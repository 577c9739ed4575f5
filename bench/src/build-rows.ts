/** Rows of builds: Gantry's builder and dockerd's BuildKit behind the same buildx. */
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { makeBusyboxArchive } from "@gantry/testkit/busybox";
import { makeDockerConfig } from "@gantry/testkit/cli-plugins";
import { cleanEnvironment, mustRun } from "@gantry/testkit/run";
import type { Engine } from "./engine.ts";
import type { Timed } from "./measure.ts";
import { docker } from "./measure.ts";
import { enginePids, pssKiB } from "./memory.ts";
import { startOurs } from "./ours.ts";
import { startPeer } from "./peer.ts";
import type { MemoryResult } from "./report.ts";

/** One file of the big context. */
const bigFileBytes = 1_000_000;
const bigFiles = 500;

/** The time after which Gantry's builder ends, and some to do so. */
const idleMs = 65_000;

/** Builds with buildx's defaults over the image busybox. @param scratch a folder for contexts */
export async function buildRows(scratch: string, rounds: number): Promise<Timed[]> {
  const contexts = path.join(scratch, "builds");
  const config = await makeDockerConfig(path.join(scratch, "buildx"), ["buildx"]);
  const build = async (
    engine: Engine,
    context: string,
    args: readonly string[] = [],
  ): Promise<undefined> => {
    const env = cleanEnvironment({ DOCKER_HOST: engine.dockerHost, DOCKER_CONFIG: config });
    const command = ["docker", "build", "--progress=plain", "-t", "bench-built", ...args, context];
    await mustRun(command, { env, timeoutMs: 300_000 });
    return undefined;
  };
  const twenty = await contextOf(path.join(contexts, "twenty"), { Dockerfile: twentySteps() });
  const stages = await contextOf(path.join(contexts, "stages"), { Dockerfile: fourStages() });
  const big = await bigContext(path.join(contexts, "big"));
  const many = await manyFiles(path.join(contexts, "many"));
  let changes = 0;
  return [
    {
      title: "build of 20 steps, all cached (whole)",
      goal: 0.6,
      net: false,
      rounds: rounds * 2,
      act: async (engine) => await build(engine, twenty),
    },
    {
      title: "build of 20 RUN true, nothing cached (whole)",
      goal: 0.35,
      net: false,
      rounds,
      act: async (engine) => await build(engine, twenty, ["--no-cache"]),
    },
    {
      title: "build of four independent stages, nothing cached (whole)",
      goal: 0.6,
      net: false,
      rounds,
      act: async (engine) => await build(engine, stages, ["--no-cache"]),
    },
    {
      title: "build of a 500 MB context with one file changed (whole)",
      goal: 0.7,
      net: false,
      rounds,
      before: async () => {
        changes += 1;
        await writeFile(path.join(big, "changing"), `change ${String(changes)}\n`);
      },
      act: async (engine) => await build(engine, big),
    },
    {
      title: "build with a COPY of 5,000 files, not cached (whole)",
      goal: 0.8,
      net: false,
      rounds,
      act: async (engine) => await build(engine, many, ["--no-cache"]),
      after: forget,
    },
  ];
}

/**
 * Memory that building leaves behind a minute after the last build: processes of Gantry's builder; of
 * dockerd, which has its builder inside, what its daemons have grown by.
 */
export async function measureBuilderMemory(scratch: string): Promise<MemoryResult> {
  const config = await makeDockerConfig(path.join(scratch, "buildx-memory"), ["buildx"]);
  const context = await contextOf(path.join(scratch, "builds-memory"), {
    Dockerfile: twentySteps(),
  });
  const afterBuild = async (
    engine: Engine,
    measureNow: (engine: Engine) => Promise<number>,
  ): Promise<number> => {
    const env = cleanEnvironment({ DOCKER_HOST: engine.dockerHost, DOCKER_CONFIG: config });
    await mustRun(["docker", "load"], { env, input: await makeBusyboxArchive() });
    const before = await measureNow(engine);
    await mustRun(["docker", "build", context], { env, timeoutMs: 300_000 });
    await delay(idleMs);
    return (await measureNow(engine)) - before;
  };
  await using ours = await startOurs();
  const oursKiB = await afterBuild(ours, async ({ mark }) => {
    const builders = new Set(await enginePids("dist/build-service/"));
    return await pssKiB((await enginePids(mark)).filter((pid) => builders.has(pid)));
  });
  await using peer = await startPeer(path.join(scratch, "peer-builder"));
  const peerKiB = await afterBuild(peer, async ({ mark }) => await pssKiB(await enginePids(mark)));
  return { title: "builder, a minute after its last build (PSS)", limitKiB: 0, oursKiB, peerKiB };
}

/** Takes images and build cache away, so that later rows have the disk for themselves. */
async function forget(engine: Engine): Promise<void> {
  await docker(engine, ["rmi", "-f", "bench-built"]);
  await docker(engine, ["image", "prune", "-f"]);
  await docker(engine, ["builder", "prune", "-a", "-f"]);
}

const twentySteps = (): string => `FROM busybox\n${"RUN true\n".repeat(20)}`;

/** Four stages of five steps that leave a file each, and an image of the four files. */
function fourStages(): string {
  const names = ["a", "b", "c", "d"];
  const stage = (name: string): string => {
    const steps = Array.from({ length: 5 }, (_, step) => `RUN echo ${String(step)} >> /${name}\n`);
    return `FROM busybox AS ${name}\n${steps.join("")}`;
  };
  const copies = names.map((name) => `COPY --from=${name} /${name} /\n`);
  return `${names.map(stage).join("")}FROM busybox\n${copies.join("")}`;
}

async function contextOf(folder: string, files: Readonly<Record<string, string>>): Promise<string> {
  await mkdir(folder, { recursive: true });
  for (const [name, content] of Object.entries(files))
    await writeFile(path.join(folder, name), content);
  return folder;
}

/** 500 files of 1 MB that compress to half or so, and the one that changes. */
async function bigContext(folder: string): Promise<string> {
  await contextOf(folder, { Dockerfile: "FROM busybox\nCOPY . /app\n" });
  const content = Buffer.alloc(bigFileBytes);
  for (let file = 0; file < bigFiles; file += 1) {
    for (let at = 0; at + 4 <= bigFileBytes; at += 8)
      content.writeInt32LE(Math.imul(at + file, 0x9e3779b1) | 0, at);
    await writeFile(path.join(folder, `part-${String(file)}`), content);
  }
  return folder;
}

/** 5,000 files of 100 bytes to 2 kB in 100 folders. */
async function manyFiles(folder: string): Promise<string> {
  await contextOf(folder, { Dockerfile: "FROM busybox\nCOPY . /app\n" });
  for (let index = 0; index < 100; index += 1) {
    const name = path.join(folder, `module-${String(index)}`);
    await mkdir(name, { recursive: true });
    for (let file = 0; file < 50; file += 1) {
      const content = `${String(index * 50 + file)} `.repeat(20 + ((file * 37) % 400));
      await writeFile(path.join(name, `file-${String(file)}.js`), content);
    }
  }
  return folder;
}
