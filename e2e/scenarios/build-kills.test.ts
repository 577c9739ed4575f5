/** kill -9 of a service in the middle of a build: the client hears of it, nothing is left, and the next build has the finished steps. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, it } from "node:test";
import { eventually, makeDockerConfig, mustRun, type Ran, run } from "@gantry/testkit";
import { TestEngine } from "@gantry/testkit/test-engine";
import { untilPasses } from "@gantry/testkit/until-passes";

let engine: TestEngine;
let config: string;

before(async () => {
  engine = await TestEngine.start();
  config = await makeDockerConfig(path.join(engine.root, "docker"), ["buildx"]);
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

/** A way to build. */
interface Client {
  readonly name: string;
  readonly env: Readonly<Record<string, string>>;
  readonly args: readonly string[];
  /** What it shows of a step that the cache has. */
  readonly cached: RegExp;
  /** What it shows when the service that runs the step has gone. */
  readonly gone: RegExp;
  /** What it shows when its own connection broke. */
  readonly broken: RegExp;
}

const clients: readonly Client[] = [
  {
    ...{ name: "buildx", env: {}, args: ["--progress=plain"], cached: /^#\d+ CACHED$/m },
    gone: /^ERROR: failed to solve: process .* did not complete successfully: container-service is not available$/m,
    broken:
      /^ERROR: (?:failed to receive status: |failed to solve: )?.*(?:EOF|connection|closing)/m,
  },
  {
    ...{ name: "the classic builder", env: { DOCKER_BUILDKIT: "0" }, args: [] },
    cached: /^ ---> Using cache$/m,
    gone: /^container-service is not available$/m,
    broken: /unexpected EOF|build-service is not available/,
  },
];

const environment = (client: Client): Record<string, string> => ({
  ...engine.clientEnv(),
  DOCKER_CONFIG: config,
  ...client.env,
});

const command = (client: Client): string[] => ["build", ...client.args, "-t", "killed", "."];

async function contextOf(name: string, lines: readonly string[]): Promise<string> {
  const folder = path.join(engine.root, "contexts", name);
  await mkdir(folder, { recursive: true });
  await writeFile(path.join(folder, "Dockerfile"), `${["FROM busybox", ...lines].join("\n")}\n`);
  return folder;
}

async function build(client: Client, name: string, lines: readonly string[]): Promise<string> {
  const cwd = await contextOf(name, lines);
  const ran: Ran = await run(["docker", ...command(client)], { cwd, env: environment(client) });
  assert.equal(ran.code, 0, ran.stdout + ran.stderr);
  return ran.stdout + ran.stderr;
}

/** A build that runs. */
class Going {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown[]>;
  shown = "";

  constructor(client: Client, cwd: string) {
    const child = spawn("docker", command(client), { cwd, env: environment(client) });
    const take = (chunk: Buffer): void => {
      this.shown += chunk.toString();
    };
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    this.#child = child;
    this.#ended = once(child, "close");
  }

  async code(): Promise<unknown> {
    return (await this.#ended)[0];
  }

  /** So that a test which fails leaves nobody behind. */
  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
  }
}

/** What the step that is interrupted waits for: a number that nothing else has. */
const pause = "sleep 1048";

async function pausing(): Promise<string> {
  return (await run(["pgrep", "-fx", pause])).stdout.trim();
}

/** What a build may leave: containers of any kind, processes, mounts, scratch files, trees and leases. */
async function traces() {
  using db = new DatabaseSync(path.join(engine.dataRoot, "image-service/metadata.db"), {
    readOnly: true,
  });
  const column = (sql: string): unknown[] =>
    db
      .prepare(sql)
      .all()
      .map((row) => row["it"]);
  const mounts = (await readFile("/proc/self/mountinfo", "utf8")).split("\n");
  const folder = (name: string): Promise<string[]> => readdir(path.join(engine.dataRoot, name));
  return {
    mounts: mounts.filter((line) => line.includes(engine.root)).length,
    containers: await folder("container-service/containers"),
    scratch: await folder("build-service/scratch"),
    trees: column("SELECT key AS it FROM snapshots WHERE kind <> 'layer' ORDER BY key"),
    leases: column("SELECT owner AS it FROM leases WHERE owner NOT LIKE 'build-cache-%'"),
    unleased: column(
      "SELECT key AS it FROM snapshots WHERE key LIKE 'build/%' AND key NOT IN (SELECT id FROM lease_resources)",
    ),
    pausing: await pausing(),
  };
}

/** What stays with the builder between builds; what a step's container has left by then goes behind its end. */
async function betweenBuilds(): Promise<unknown> {
  return await eventually(async () => {
    const now = await traces();
    assert.deepEqual(now.leases, []);
    return now;
  });
}

async function nothingLeft(before: unknown): Promise<void> {
  await untilPasses(async () => {
    assert.deepEqual(await traces(), before);
  });
}

interface Interrupted {
  readonly going: Going;
  readonly before: unknown;
  /** The step that was done before. */
  readonly done: string;
  readonly name: string;
}

/** Begins a build that is in the middle of a step when this resolves. */
async function interrupted(client: Client, what: string): Promise<Interrupted> {
  const name = `${client.name.replaceAll(" ", "-")}-${what}`;
  // A build before it has what stays with the builder, and shows that nothing of it is left.
  await build(client, name, [`RUN echo ${name}`]);
  const before = await betweenBuilds();
  const done = `RUN date > /${name}`;
  const cwd = await contextOf(name, [done, `RUN echo has begun; ${pause}; echo ended > /end`]);
  const going = new Going(client, cwd);
  await untilPasses(() => {
    assert.match(going.shown, /has begun\n/);
  });
  return { going, before, done, name };
}

for (const client of clients) {
  describe(`a build by ${client.name}`, () => {
    for (const service of ["container-service", "build-service", "api-gateway"] as const) {
      it(`fails when ${service} is killed, leaves nothing, and the next one has the finished steps`, async () => {
        const { going, before, done, name } = await interrupted(client, service);
        using _going = going;
        await engine.kill9(service);
        assert.equal(await going.code(), 1, going.shown);
        const last = going.shown.slice(going.shown.indexOf("has begun\n"));
        assert.match(last, service === "container-service" ? client.gone : client.broken);
        await engine.ready();
        const next = await build(client, name, [done, "RUN true"]);
        assert.match(next, client.cached);
        await nothingLeft(before);
      });
    }

    it("goes on when image-service is killed while a step runs", async () => {
      const { going, before } = await interrupted(client, "image-service");
      using _going = going;
      await engine.kill9("image-service");
      await engine.ready();
      await mustRun(["kill", await pausing()]);
      assert.equal(await going.code(), 0, going.shown);
      assert.equal(await engine.docker(["run", "--rm", "killed", "cat", "/end"]), "ended");
      await nothingLeft(before);
    });

    it("fails when image-service stays away, leaves nothing, and the next one has the finished steps", async () => {
      const { going, before, done, name } = await interrupted(client, "image-service-away");
      using _going = going;
      const supervisors = await engine.pidsOf("supervisor");
      for (const pid of supervisors) process.kill(pid, "SIGSTOP");
      try {
        await engine.kill9("image-service");
        await mustRun(["kill", await pausing()]);
        assert.equal(await going.code(), 1, going.shown);
        assert.match(going.shown, /image-service is not available/);
      } finally {
        for (const pid of supervisors) process.kill(pid, "SIGCONT");
      }
      await engine.ready();
      assert.match(await build(client, name, [done, "RUN true"]), client.cached);
      await nothingLeft(before);
    });
  });
}
