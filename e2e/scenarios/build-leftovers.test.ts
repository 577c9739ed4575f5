/** What builds leave: images whose name went to a newer one, steps that are pushed, nothing of a full disk. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { makeDockerConfig, type Ran } from "@gantry/testkit";
import { type LoopFilesystem, openLoopFilesystem } from "@gantry/testkit/loop-filesystem";
import { startRegistry } from "@gantry/testkit/registry";
import { TestEngine } from "@gantry/testkit/test-engine";
import { untilPasses } from "@gantry/testkit/until-passes";

const mebibyte = 2 ** 20;

let disk: LoopFilesystem;
let engine: TestEngine;
let env: Record<string, string>;
let folder: string;
const cleanUp = new AsyncDisposableStack();

before(async () => {
  disk = cleanUp.use(await openLoopFilesystem(96 * mebibyte));
  engine = cleanUp.use(
    await TestEngine.start({ env: { GANTRY_DATA_ROOT: path.join(disk.path, "data") } }),
  );
  const config = await makeDockerConfig(path.join(engine.root, "docker"), ["buildx"]);
  env = { ...engine.clientEnv(), DOCKER_CONFIG: config };
  folder = path.join(engine.root, "context");
  await mkdir(folder);
});
after(async () => {
  await cleanUp.disposeAsync();
});

type Builder = "classic" | "buildx";

async function build(by: Builder, dockerfile: string, args: readonly string[] = []): Promise<Ran> {
  await writeFile(path.join(folder, "Dockerfile"), dockerfile);
  return await engine.tryDocker(["build", ...args, folder], {
    ...{ env: { ...env, DOCKER_BUILDKIT: by === "classic" ? "0" : "1" }, timeoutMs: 180_000 },
  });
}

async function built(by: Builder, dockerfile: string, args: readonly string[] = []) {
  const ran = await build(by, dockerfile, args);
  assert.equal(ran.code, 0, ran.stderr);
  return ran.stdout;
}

const idOf = (image: string): Promise<string> =>
  engine.docker(["image", "inspect", "--format", "{{.Id}}", image]);

/** IDs of images without a name. */
async function nameless(): Promise<string[]> {
  const listed = ["images", "-q", "--no-trunc", "--filter", "dangling=true"];
  return (await engine.docker(listed)).split("\n").filter((id) => id !== "");
}

describe("a name that goes to a newer image", () => {
  for (const by of ["classic", "buildx"] as const) {
    it(`leaves the older one without a name, to be pruned (${by})`, async () => {
      await built(by, "FROM busybox\nENV WHICH=old\n", ["-t", by]);
      const old = await idOf(by);
      await built(by, "FROM busybox\nENV WHICH=new\n", ["-t", by]);
      assert.notEqual(await idOf(by), old);
      assert.deepEqual(await nameless(), [old]);
      const run = ["run", "--rm", old, "sh", "-c", "echo $WHICH"];
      assert.equal(await engine.docker(run), "old");
      await engine.docker(["image", "prune", "-f"]);
      assert.deepEqual(await nameless(), []);
      assert.equal(await engine.docker(["run", "--rm", by, "sh", "-c", "echo $WHICH"]), "new");
    });
  }
});

describe("a step's image", () => {
  it("is pushed under a name of its own, and comes back as it was", async () => {
    await using registry = await startRegistry({ dir: path.join(engine.root, "registry") });
    const shown = await built(
      "classic",
      "FROM busybox\nRUN echo first > /step\nRUN echo second > /step\n",
      ["-t", "steps"],
    );
    const [, first = ""] = [...shown.matchAll(/^ ---> ([0-9a-f]{12})$/gm)].map(([, id]) => id);
    const name = `${registry.host}/step:1`;
    await engine.docker(["tag", first, name]);
    await engine.docker(["push", "-q", name]);
    const whole = await idOf(name);
    await engine.docker(["rmi", "steps"]);
    await engine.docker(["rmi", name]);
    await engine.docker(["pull", "-q", name]);
    assert.equal(await idOf(name), whole);
    assert.equal(await engine.docker(["run", "--rm", name, "cat", "/step"]), "first");
    await engine.docker(["rmi", name]);
  });
});

describe("a full disk", () => {
  const scratch = (): string => path.join(engine.dataRoot, "build-service/scratch");
  const noise = `RUN head -c ${String(8 * mebibyte)} /dev/urandom > /noise`;

  // The first: what the others remove goes behind its answer, and would make room for it.
  it("is an error of an export that writes layers anew, which leaves nothing of them", async () => {
    await built("buildx", `FROM busybox\n${noise}\n`, ["-t", "noisy"]);
    const images = await engine.docker(["images", "-aq"]);
    const giveBack = await disk.fill(2 * mebibyte);
    try {
      const output = "type=image,name=zstd,compression=zstd,force-compression=true";
      const ran = await build("buildx", `FROM busybox\n${noise}\n`, ["--output", output]);
      assert.notEqual(ran.code, 0);
      assert.match(ran.stderr, /no space left on device/i);
      assert.deepEqual(await readdir(scratch()), []);
    } finally {
      await giveBack();
    }
    assert.equal(await engine.docker(["images", "-aq"]), images);
  });

  for (const by of ["classic", "buildx"] as const) {
    it(`is an error of the build, which leaves nothing, and the next one works (${by})`, async () => {
      await writeFile(path.join(folder, "large"), randomBytes(8 * mebibyte));
      const images = await engine.docker(["images", "-aq"]);
      const dockerfile = `FROM busybox\nENV BY=${by}\nCOPY large /\n`;
      const giveBack = await disk.fill(4 * mebibyte);
      try {
        const ran = await build(by, dockerfile, ["-t", "large"]);
        assert.notEqual(ran.code, 0);
        assert.match(`${ran.stdout}${ran.stderr}`, /no space left on device/i);
        await untilPasses(async () => {
          assert.deepEqual(await readdir(scratch()), []);
        });
        assert.equal(await engine.docker(["ps", "-aq"]), "");
      } finally {
        await giveBack();
      }
      // The classic builder keeps what was done before the step that failed.
      await engine.docker(["image", "prune", "-f"]);
      assert.equal(await engine.docker(["images", "-aq"]), images);
      await built(by, dockerfile, ["-t", "large"]);
      const run = ["run", "--rm", "large", "wc", "-c", "/large"];
      assert.equal(await engine.docker(run), `${String(8 * mebibyte)} /large`);
      await engine.docker(["rmi", "large"]);
      await engine.docker(["builder", "prune", "-af"]);
    });
  }
});
