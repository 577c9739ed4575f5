/**
 * This repository's images, built by the engine that they are images of: `docker buildx bake` over a
 * Debian made with mmdebstrap, the checks as builds, and the engine in containers of itself.
 */
import assert from "node:assert/strict";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import {
  cleanEnvironment,
  type EngineRoots,
  findEngineLeaks,
  makeDockerConfig,
  mustRun,
  openEngineRoots,
  type Ran,
  run,
} from "@gantry/testkit";
import { loadDebian, loadNode } from "@gantry/testkit/base-images";
import { freePort } from "@gantry/testkit/registry";
import { repository, TestEngine } from "@gantry/testkit/test-engine";
import { untilPasses } from "@gantry/testkit/until-passes";

/** Compilers on a small machine that does other things, too. */
const timeoutMs = 3600_000;

const composeFile = path.join(repository, "deploy/compose.yaml");

let engine: TestEngine;
let env: Record<string, string>;

before(async () => {
  engine = await TestEngine.start({ busybox: false });
  env = {
    ...engine.clientEnv(),
    DOCKER_CONFIG: await makeDockerConfig(path.join(engine.root, "docker"), ["buildx", "compose"]),
  };
  const folder = path.join(engine.root, "base-images");
  await loadDebian(engine, folder);
  await loadNode(engine, folder);
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

async function bake(...args: string[]): Promise<string> {
  const command = ["docker", "buildx", "bake", "--progress=plain", ...args];
  const ran = await run(command, { env, cwd: repository, timeoutMs });
  assert.equal(ran.code, 0, ran.stderr.slice(-10_000));
  return ran.stderr;
}

describe("the repository's images", () => {
  it("are built by bake, one for each service, over layers that they share", async () => {
    await bake();
    const ids = ["api-gateway", "build-service", "container-service", "image-service"].map(
      (name) => `gantry/${name}:dev`,
    );
    const layers = await Promise.all(
      ids.map((image) => engine.docker(["inspect", image, "--format", "{{json .RootFS.Layers}}"])),
    );
    assert.equal(new Set(layers).size, 1, layers.join("\n"));
    await engine.docker(["inspect", "gantry/nats:dev"]);
  });

  it("pass their checks as builds", async () => {
    assert.match(await bake("validate"), /check: types/);
  });

  it("are an engine that runs hello-world, in containers of the engine that built them", async () => {
    await using inner = await openEngineRoots();
    await using _ = await shareMounts(inner.path);
    const compose = await composeOf(inner);
    try {
      await compose("up", "--detach");
      const innerEnv = cleanEnvironment({
        DOCKER_HOST: `unix://${inner.config.dockerSocket}`,
        HOME: engine.root,
      });
      const docker = (...args: string[]): Promise<Ran> =>
        mustRun(["docker", ...args], { env: innerEnv });
      await untilPasses(
        async () => {
          await docker("ps");
        },
        { timeoutMs: 120_000 },
      );
      await docker("load", "--input", path.join(repository, "dist/hello-world.tar"));
      const ran = await docker("run", "--rm", "hello-world");
      assert.match(ran.stdout, /^Hello from Gantry!/);
    } catch (error) {
      const { stdout } = await compose("logs", "--no-color", "--tail", "20");
      throw new Error(`the engine's services say:\n${stdout}`, { cause: error });
    } finally {
      await compose("down", "--volumes");
      // What stays in the kernel when services end; the supervisor's part, which has none here.
      const script = path.join(repository, "scripts/stop.ts");
      await mustRun([process.execPath, script], { env: inner.env, cwd: repository });
    }
    assert.deepEqual(await findEngineLeaks(inner.config), []);
  });
});

/** Makes a folder a shared mount, as everything is where systemd runs: services see each other's mounts below it. */
async function shareMounts(folder: string): Promise<AsyncDisposable> {
  await mustRun(["mount", "--bind", "--make-shared", folder, folder]);
  return {
    async [Symbol.asyncDispose]() {
      await mustRun(["umount", folder]);
    },
  };
}

/** docker compose over deploy's file, for an engine with these roots. */
async function composeOf({
  env: roots,
}: EngineRoots): Promise<(...args: string[]) => Promise<Ran>> {
  const port = String(await freePort());
  const variables = Object.entries(roots).filter(([name]) => name.startsWith("GANTRY_"));
  const composeEnv = { ...env, ...Object.fromEntries(variables), GANTRY_NATS_PORT: port };
  return (...args) =>
    mustRun(["docker", "compose", "-f", composeFile, ...args], { env: composeEnv, timeoutMs });
}
