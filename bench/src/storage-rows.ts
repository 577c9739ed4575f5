/** Rows of volumes, copies and compose applications. */
import { mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { composePlugin } from "@gantry/testkit/compose";
import { makeDebianArchive } from "@gantry/testkit/debian-image";
import { cleanEnvironment, mustRun } from "@gantry/testkit/run";
import type { Engine } from "./engine.ts";
import { call } from "./engine-api.ts";
import type { Timed } from "./measure.ts";
import { docker } from "./measure.ts";
import { idleContainer } from "./scenarios.ts";

const repository = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))));
const shop = path.join(repository, "e2e/shop/compose.yaml");

/** 200 MB in 1,000 files of 200 kB, in 40 folders. @param scratch a folder for the tree and what is copied */
export async function storageRows(scratch: string, rounds: number): Promise<Timed[]> {
  const tree = path.join(scratch, "tree");
  await makeTree(tree);
  const out = path.join(scratch, "copied");
  return [
    {
      title: "cp of a 200 MB tree into a container (whole)",
      goal: 1.0,
      net: false,
      rounds,
      before: async (engine) => {
        await docker(engine, ["exec", idleContainer, "rm", "-rf", "/tree"]);
      },
      act: async (engine) => await ignored(docker(engine, ["cp", tree, `${idleContainer}:/tree`])),
    },
    {
      title: "cp of a 200 MB tree out of a container (whole)",
      goal: 1.0,
      net: false,
      rounds,
      before: async () => {
        await rm(out, { recursive: true, force: true });
      },
      act: async (engine) => await ignored(docker(engine, ["cp", `${idleContainer}:/tree`, out])),
    },
    {
      title: "volume create + rm (API)",
      goal: 0.8,
      net: false,
      rounds: rounds * 3,
      act: async (engine) => {
        await call(engine, "POST", "/volumes/create", { Name: "bench" });
        await call(engine, "DELETE", "/volumes/bench");
        return undefined;
      },
    },
    await composeRow(scratch, rounds),
  ];
}

/** The application of e2e/shop: four services that wait for each other's health. */
async function composeRow(scratch: string, rounds: number): Promise<Timed> {
  const { command, env } = await composePlugin(path.join(scratch, "client"));
  const image = await makeDebianArchive(["nginx", "redis-server", "python3"], "shop:1");
  const loaded = new Set<Engine>();
  const compose = async (engine: Engine, args: readonly string[]): Promise<void> => {
    await mustRun([...command, "-f", shop, ...args], {
      env: { ...cleanEnvironment({ DOCKER_HOST: engine.dockerHost }), ...env },
    });
  };
  return {
    title: "compose up and down of an application of four services (whole)",
    goal: 0.5,
    net: false,
    rounds,
    before: async (engine) => {
      if (loaded.has(engine)) return;
      const environment = cleanEnvironment({ DOCKER_HOST: engine.dockerHost });
      await mustRun(["docker", "load"], { env: environment, input: image });
      loaded.add(engine);
    },
    act: async (engine) => {
      await compose(engine, ["up", "-d"]);
      await compose(engine, ["down", "-v", "-t", "2"]);
      return undefined;
    },
  };
}

async function ignored(work: Promise<unknown>): Promise<undefined> {
  await work;
  return undefined;
}

async function makeTree(tree: string): Promise<void> {
  const content = Buffer.alloc(200_000);
  for (let index = 0; index < content.length; index++) content[index] = (index * 31) % 251;
  for (let folder = 0; folder < 40; folder++) {
    const name = path.join(tree, `folder-${String(folder)}`);
    await mkdir(name, { recursive: true });
    for (let file = 0; file < 25; file++)
      await writeFile(path.join(name, `file-${String(file)}`), content);
  }
}
