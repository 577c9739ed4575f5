/** Builds of what people build: a C program with Debian's compiler, a Node application with its packages. */
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { makeDockerConfig, mustRun, run } from "@gantry/testkit";
import { loadDebian, loadNode } from "@gantry/testkit/base-images";
import { TestEngine } from "@gantry/testkit/test-engine";

/** Packages come over the network, and a compiler is big. */
const timeoutMs = 900_000;

let engine: TestEngine;
let env: Record<string, string>;

before(async () => {
  engine = await TestEngine.start({ busybox: false });
  env = {
    ...engine.clientEnv(),
    DOCKER_CONFIG: await makeDockerConfig(path.join(engine.root, "docker"), ["buildx"]),
  };
  await loadDebian(engine, path.join(engine.root, "base-images"));
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

async function write(folder: string, files: Readonly<Record<string, string>>): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const [name, content] of Object.entries(files))
    await writeFile(path.join(folder, name), content);
}

/** Builds with buildx, and gives what it shows. */
async function build(folder: string, tag: string): Promise<string> {
  const command = ["docker", "build", "--progress=plain", "-t", tag, folder];
  const ran = await run(command, { env, timeoutMs });
  assert.equal(ran.code, 0, ran.stderr.slice(-10_000));
  return ran.stderr;
}

/** The number that buildx gives to a step. */
function numberOf(shown: string, step: RegExp): string {
  const line = shown.split("\n").find((each) => step.test(each)) ?? "";
  const number = /^#\d+/.exec(line)?.[0];
  assert.ok(number !== undefined, shown);
  return number;
}

describe("a C program", () => {
  const program = (word: string): string =>
    `#include <stdio.h>\n#include <unistd.h>\nint main(void) {\n` +
    `  printf("${word} from C, uid %u\\n", (unsigned)getuid());\n  return 3;\n}\n`;
  const dockerfile = [
    "FROM debian:bookworm-slim AS made",
    "RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \\",
    "  --mount=type=cache,target=/var/lib/apt,sharing=locked \\",
    "  apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev",
    "COPY hello.c /src/",
    "RUN gcc -Wall -Werror -O2 -static -s -o /hello /src/hello.c",
    "FROM scratch",
    "COPY --from=made /hello /",
    "USER 1234",
    'ENTRYPOINT ["/hello"]',
  ].join("\n");

  it("is compiled with gcc from Debian's packages, and runs from an image of nothing else", async () => {
    const folder = path.join(engine.root, "c");
    await write(folder, { Dockerfile: dockerfile, "hello.c": program("hello") });
    await build(folder, "c-program");
    const ran = await engine.tryDocker(["run", "--rm", "c-program"]);
    assert.deepEqual([ran.code, ran.stdout], [3, "hello from C, uid 1234\n"]);
    const files = await mustRun(["sh", "-c", "docker export $(docker create c-program) | tar -t"], {
      env,
    });
    const own = files.stdout.split("\n").filter((name) => /^(?:src|usr|lib|hello)/.test(name));
    assert.deepEqual(own, ["hello"]);
    const layers = ["inspect", "c-program", "--format", "{{len .RootFS.Layers}}"];
    assert.equal(await engine.docker(layers), "1");
  });

  it("is compiled anew when it has changed, by the compiler that is there", async () => {
    const folder = path.join(engine.root, "c");
    await write(folder, { "hello.c": program("changed") });
    const shown = await build(folder, "c-program");
    assert.match(shown, new RegExp(`^${numberOf(shown, /RUN .*apt-get update/)} CACHED$`, "m"));
    assert.doesNotMatch(shown, new RegExp(`^${numberOf(shown, /RUN gcc/)} CACHED$`, "m"));
    const ran = await engine.tryDocker(["run", "--rm", "c-program"]);
    assert.equal(ran.stdout, "changed from C, uid 1234\n");
  });
});

describe("a Node application", () => {
  const manifest = (version: string): string =>
    JSON.stringify({ name: "app", version, type: "module", dependencies: { ms: "2.1.3" } });
  const dockerfile = (flags: string): string =>
    [
      "FROM node:22-bookworm",
      "WORKDIR /app",
      "COPY package.json package-lock.json ./",
      `RUN --mount=type=cache,target=/root/.npm npm ci --omit=dev${flags}`,
      "COPY main.js ./",
      'CMD ["node", "main.js"]',
    ].join("\n");
  const main = 'import ms from "ms";\nconsole.log(ms("2 days"));\n';

  /** Writes the application with a lock file for its packages. */
  async function application(folder: string, version: string, flags: string): Promise<void> {
    const files = { "package.json": manifest(version), "main.js": main };
    await write(folder, { ...files, Dockerfile: dockerfile(flags) });
    const lock = ["npm", "install", "--package-lock-only", "--no-audit", "--no-fund"];
    await mustRun(lock, { cwd: folder, timeoutMs });
  }

  it("has its packages by npm ci, whose cache is in no image", async () => {
    await loadNode(engine, path.join(engine.root, "base-images"));
    const folder = path.join(engine.root, "node");
    await application(folder, "1.0.0", "");
    await build(folder, "node-app");
    assert.equal(await engine.docker(["run", "--rm", "node-app"]), "172800000");
    const cache = ["run", "--rm", "node-app", "sh", "-c", "ls -A /root/.npm 2>/dev/null | wc -l"];
    assert.equal(await engine.docker(cache), "0");
  });

  it("needs no network for them again: the cache mount has them", async () => {
    const folder = path.join(engine.root, "node");
    await application(folder, "1.0.1", " --offline");
    const shown = await build(folder, "node-app");
    assert.doesNotMatch(shown, new RegExp(`^${numberOf(shown, /RUN .*npm ci/)} CACHED$`, "m"));
    assert.equal(await engine.docker(["run", "--rm", "node-app"]), "172800000");
  });
});
