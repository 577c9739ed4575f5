/** The newest CLI and buildx that Debian has (sid): newer than what the other tests use, and their words may change. */
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { makeDockerConfig, mustRun } from "@gantry/testkit";
import { debianProgram } from "@gantry/testkit/debian";
import { type Registry, startRegistry } from "@gantry/testkit/registry";
import { TestEngine } from "@gantry/testkit/test-engine";

let engine: TestEngine;
let registry: Registry;
let cli: string;
let env: Readonly<Record<string, string>>;
before(async () => {
  engine = await TestEngine.start();
  registry = await startRegistry({ dir: path.join(engine.root, "registry") });
  cli = await debianProgram("docker-cli", "/usr/bin/docker", "sid");
  const config = path.join(engine.root, "docker");
  env = { ...engine.clientEnv(), DOCKER_CONFIG: await makeDockerConfig(config, ["buildx"], "sid") };
});
after(async () => {
  await registry[Symbol.asyncDispose]();
  await engine[Symbol.asyncDispose]();
});

/** What it prints, streams together. */
async function docker(...args: string[]): Promise<string> {
  const { stdout, stderr } = await mustRun([cli, ...args], { env, cwd: engine.root });
  return `${stdout}${stderr}`;
}

async function contextOf(name: string, files: Readonly<Record<string, string>>): Promise<string> {
  const folder = path.join(engine.root, name);
  await mkdir(folder);
  for (const [file, text] of Object.entries(files)) await writeFile(path.join(folder, file), text);
  return folder;
}

describe("the newest CLI", () => {
  it("runs, lists and removes containers, volumes and networks", async () => {
    assert.match(await docker("version", "--format", "{{.Server.APIVersion}}"), /^1\.\d+$/m);
    await docker("network", "create", "net");
    await docker(
      "run",
      "-d",
      "--name",
      "one",
      "--network",
      "net",
      "-v",
      "vol:/v",
      "busybox",
      "top",
    );
    assert.match(
      await docker("exec", "one", "sh", "-c", "echo in $HOSTNAME > /v/f; cat /v/f"),
      /in/,
    );
    assert.match(await docker("ps", "--filter", "network=net"), /one$/m);
    assert.match(await docker("stats", "--no-stream", "one"), /one/);
    assert.match(await docker("image", "ls", "--tree"), /busybox:latest/);
    assert.match(
      await docker("image", "inspect", "--platform", "linux/amd64", "busybox"),
      /Layers/,
    );
    await docker("system", "df", "-v");
    await docker("stop", "-t", "0", "one");
    await docker("container", "prune", "-f");
    await docker("volume", "rm", "vol");
    await docker("network", "rm", "net");
    assert.equal(await docker("ps", "-aq"), "");
  });
});

describe("the newest buildx", () => {
  it("builds with caches, secrets and named contexts, and has it all cached then", async () => {
    const more = await contextOf("more", { file: "named\n" });
    const secret = path.join(await contextOf("hidden", { secret: "word" }), "secret");
    const folder = await contextOf("built", {
      Dockerfile:
        "FROM busybox AS made\nRUN --mount=type=cache,target=/c --mount=type=secret,id=s " +
        "cat /run/secrets/s | wc -c > /made\nFROM busybox\nCOPY --from=made /made /\n" +
        'COPY --from=more file /\nCMD ["cat", "/made", "/file"]\n',
    });
    const build = ["build", "--progress=plain", "--secret", `id=s,src=${secret}`];
    const context = ["--build-context", `more=${more}`];
    const args = [...build, ...context, "-t", "built", folder];
    await docker(...args);
    assert.equal(await docker("run", "--rm", "built"), "4\nnamed\n");
    const again = await docker(...args);
    assert.equal(again.match(/ (?:RUN|COPY) .*\n#\d+ CACHED$/gm)?.length, 3, again);
    assert.match(
      await docker("build", "--check", ...context, folder),
      /Check complete, no warnings found/,
    );
  });

  it("pushes with attestations, and looks at what is there", async () => {
    const folder = await contextOf("pushed", {
      Dockerfile: "FROM busybox\nRUN echo made > /made\n",
    });
    const name = `${registry.host}/pushed:1`;
    await docker("build", "--provenance=mode=max", "--push", "-t", name, folder);
    assert.match(await docker("buildx", "imagetools", "inspect", name), /attestation-manifest/);
    const other = `${registry.host}/pushed:2`;
    await docker("buildx", "imagetools", "create", "-t", other, name);
    await docker("pull", other);
    assert.equal(await docker("run", "--rm", other, "cat", "/made"), "made\n");
  });

  it("bakes, and tells of what it has built", async () => {
    const folder = await contextOf("baked", {
      Dockerfile: "FROM busybox\nARG WHO\nRUN echo by $WHO > /who\nCMD cat /who\n",
      "docker-bake.json": JSON.stringify({
        group: { default: { targets: ["a", "b"] } },
        target: Object.fromEntries(
          ["a", "b"].map((each) => [each, { args: { WHO: each }, tags: [`baked:${each}`] }]),
        ),
      }),
    });
    await mustRun([cli, "buildx", "bake"], { env, cwd: folder });
    assert.equal(await docker("run", "--rm", "baked:b"), "by b\n");
    const [ref = ""] = (await docker("buildx", "history", "ls", "--format", "{{.Ref}}")).split(
      "\n",
    );
    assert.match(
      await docker("buildx", "history", "inspect", ref.split("/").at(-1) ?? ""),
      /Dockerfile/,
    );
    assert.match(await docker("buildx", "history", "logs", ref.split("/").at(-1) ?? ""), /busybox/);
    assert.match(await docker("buildx", "du"), /^Total:\s+\S+$/m);
    await docker("buildx", "prune", "-af");
    assert.match(await docker("buildx", "du"), /^Total:\s+0B$/m);
  });
});
