/** `docker system df`: images, containers, volumes and build cache are together what du finds below the data root. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { makeDockerConfig, mustRun } from "@gantry/testkit";
import { TestEngine } from "@gantry/testkit/test-engine";
import { untilPasses } from "@gantry/testkit/until-passes";
import { ask } from "../src/http.ts";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

interface Usage {
  readonly LayersSize: number;
  readonly Containers: readonly { readonly SizeRw?: number }[];
  readonly Volumes: readonly { readonly UsageData: { readonly Size: number } }[];
  readonly BuildCache: readonly {
    readonly Type: string;
    readonly Size: number;
    readonly Shared: boolean;
  }[];
}

async function usage(): Promise<Usage> {
  const { status, body } = await ask(engine, { path: "/v1.51/system/df" });
  assert.equal(status, 200, body);
  return JSON.parse(body) as Usage;
}

const sum = (sizes: readonly number[]): number => sizes.reduce((all, each) => all + each, 0);

/** Each part, and all of them; what the cache shares with images is in the images' figure. */
function partsOf({ LayersSize, Containers, Volumes, BuildCache }: Usage) {
  const parts = {
    images: LayersSize,
    containers: sum(Containers.map(({ SizeRw }) => SizeRw ?? 0)),
    volumes: sum(Volumes.map(({ UsageData }) => UsageData.Size)),
    cache: sum(BuildCache.filter(({ Shared }) => !Shared).map(({ Size }) => Size)),
  };
  return { ...parts, all: sum(Object.values(parts)) };
}

/** Bytes on disk of folders below the data root. */
async function du(...folders: readonly string[]): Promise<number> {
  const paths = folders
    .map((folder) => path.join(engine.dataRoot, folder))
    .filter((folder) => existsSync(folder));
  // The tree of mount points below all containers is the engine's, whatever images there are.
  const { stdout } = await mustRun(["du", "-scB1", "--exclude=snapshots/base", ...paths]);
  return Number(stdout.trim().split("\n").at(-1)?.split("\t")[0]);
}

function near(told: number, found: number, what: string): void {
  assert.ok(Math.abs(told - found) <= found / 100, `${what}: ${String(told)}, du ${String(found)}`);
}

/** What df is about: content and snapshots, volumes, cache mounts, and contexts that builds keep. */
const subtrees = [
  "image-service/content/blobs",
  "image-service/snapshots",
  "container-service/volumes",
  "build-service/mounts",
  "build-service/contexts",
];

async function agrees(when: string): Promise<void> {
  // What is removed is collected a moment after its answer.
  await untilPasses(async () => {
    const parts = partsOf(await usage());
    near(parts.all, await du(...subtrees), `${when}: ${JSON.stringify(parts)}`);
  });
}

const docker = (...args: string[]): Promise<string> => engine.docker(args);

describe("docker system df", () => {
  it("has what containers wrote: large, many and small, under two names, with holes", async () => {
    const script =
      "dd if=/dev/zero of=/five bs=1M count=5; mkdir -p /x/y; ln /five /x/six; " +
      "for i in $(seq 300); do echo $i > /x/y/$i; done; " +
      "dd if=/dev/zero of=/hole bs=1 count=1 seek=200M; rm /bin/wget";
    await docker("run", "--name", "stopped", "busybox", "sh", "-c", script);
    await docker("run", "-d", "--name", "runs", "busybox", "sh", "-c", `${script}; sleep 1000`);
    await untilPasses(async () => {
      await docker("exec", "runs", "test", "-e", "/hole");
    });
    const { containers } = partsOf(await usage());
    assert.ok(containers > 12e6 && containers < 16e6, `two containers wrote ${String(containers)}`);
    await agrees("with containers");
  });

  it("has what is in volumes", async () => {
    const script = "dd if=/dev/zero of=/v/four bs=1M count=4; ln /v/four /v/again";
    await docker("run", "--rm", "-v", "data:/v", "busybox", "sh", "-c", script);
    const { volumes } = partsOf(await usage());
    near(volumes, await du("container-service/volumes"), "volumes");
    await agrees("with a volume");
  });

  it("has what builds keep: layers, also without their image, and cache mounts", async () => {
    const folder = path.join(engine.root, "context");
    await mkdir(folder);
    await writeFile(path.join(folder, "big"), "x".repeat(3_000_000));
    await writeFile(
      path.join(folder, "Dockerfile"),
      "FROM busybox\nCOPY big /big\n" +
        "RUN --mount=type=cache,target=/kept dd if=/dev/zero of=/kept/made bs=1M count=6\n" +
        "RUN rm /big; dd if=/dev/zero of=/two bs=1M count=2\n",
    );
    const env = {
      ...engine.clientEnv(),
      DOCKER_CONFIG: await makeDockerConfig(path.join(engine.root, "docker"), ["buildx"]),
    };
    const build = async (...args: string[]): Promise<void> => {
      await mustRun(["docker", "build", ...args, "."], { cwd: folder, env, timeoutMs: 180_000 });
    };
    await build("-t", "built");
    const { BuildCache } = await usage();
    const mounts = BuildCache.filter(({ Type }) => Type === "exec.cachemount");
    near(sum(mounts.map(({ Size }) => Size)), 6 * 1024 * 1024, "cache mounts");
    await agrees("with an image that was built");
    await docker("rmi", "built");
    await agrees("without it");
    // Nothing is exported: these layers are the cache's alone.
    await build("--no-cache");
    await agrees("with a build for nothing");
    await docker("builder", "prune", "-af");
    assert.deepEqual((await usage()).BuildCache, []);
    await agrees("without the cache");
  });

  it("has no more when everything is gone", async () => {
    await docker("rm", "-f", "stopped", "runs");
    await docker("volume", "rm", "data");
    await docker("image", "prune", "-af");
    await untilPasses(async () => {
      const { images, ...rest } = partsOf(await usage());
      assert.equal(rest.containers + rest.volumes + rest.cache, 0, JSON.stringify(rest));
      assert.ok(images < 64 * 1024, `images still take ${String(images)}`);
    });
  });
});
