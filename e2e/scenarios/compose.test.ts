/**
 * A compose application of four real services (nginx, an API in Python, Redis, a worker), used as
 * a team uses one, with docker-compose 2.26 and 1.29. What was there before is all that is there afterwards.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { type ComposeProgram, composePlugin, composePython } from "@gantry/testkit/compose";
import { makeDebianArchive } from "@gantry/testkit/debian-image";
import { eventually } from "@gantry/testkit/eventually";
import type { Ran, RunOptions } from "@gantry/testkit/run";
import { mustRun, run } from "@gantry/testkit/run";
import { repository, TestEngine } from "@gantry/testkit/test-engine";
import { untilPasses } from "@gantry/testkit/until-passes";

const deep = process.env["GANTRY_TEST_DEEP"] === "1";

const shop = path.join(repository, "e2e/shop");

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
  const archive = await makeDebianArchive(["nginx", "redis-server", "python3"], "shop:1");
  await engine.docker(["load"], { input: archive });
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

/** One project, driven by one of the two programs. */
class Project {
  readonly #program: ComposeProgram;
  readonly #arguments: readonly string[];

  constructor(program: ComposeProgram, file: string, name: string) {
    this.#program = program;
    this.#arguments = ["-p", name, "-f", path.join(shop, file)];
  }

  argv(args: readonly string[]): string[] {
    return [...this.#program.command, ...this.#arguments, ...args];
  }

  env(): Record<string, string> {
    return { ...engine.clientEnv(), ...this.#program.env };
  }

  async compose(...args: string[]): Promise<string> {
    const ran = await mustRun(this.argv(args), { env: this.env() });
    return ran.stdout.trim();
  }

  async tryCompose(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
    return await run(this.argv(args), { env: this.env(), ...options });
  }

  async ids(service: string): Promise<string[]> {
    const text = await this.compose("ps", "-q", service);
    return text.split("\n").filter((id) => id !== "");
  }

  /** Address of the web server on this machine. */
  async url(): Promise<string> {
    return `http://${await this.compose("port", "web", "8080")}`;
  }
}

/** Everything that a project may leave. */
async function inventory(): Promise<Record<string, string[]>> {
  const lines = (text: string): string[] =>
    text
      .split("\n")
      .filter((line) => line !== "")
      .sort();
  const [containers, networks, volumes] = await Promise.all([
    engine.docker(["ps", "-aq", "--no-trunc"]),
    engine.docker(["network", "ls", "-q", "--no-trunc"]),
    engine.docker(["volume", "ls", "-q"]),
  ]);
  const mounts = (await readFile("/proc/self/mountinfo", "utf8"))
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((target) => target.startsWith(engine.root));
  const links = lines((await mustRun(["ip", "-o", "link"])).stdout)
    .map((line) => line.split(": ")[1] ?? "")
    .filter((name) => name.startsWith(engine.linkPrefix));
  return {
    containers: lines(containers),
    networks: lines(networks),
    volumes: lines(volumes),
    mounts: mounts.sort(),
    links,
  };
}

/** Mounts and links of what has been removed go a little after the answer, also those of an earlier test. */
async function assertUnchanged(before: Record<string, string[]>): Promise<void> {
  await untilPasses(async () => {
    const now = await inventory();
    for (const kind of ["containers", "networks", "volumes"])
      assert.deepEqual(now[kind], before[kind], kind);
    for (const kind of ["mounts", "links"]) {
      const added = now[kind]?.filter((each) => before[kind]?.includes(each) !== true);
      assert.deepEqual(added, [], kind);
    }
  });
}

async function order(url: string, goods: string): Promise<string> {
  const placed = await fetch(`${url}/orders`, {
    method: "POST",
    body: goods,
    headers: { token: "letmein" },
  });
  assert.equal(placed.status, 201);
  const number = await placed.text();
  return await eventually(async () => {
    const answer = await fetch(`${url}/orders/${number}`);
    return answer.status === 200 ? await answer.text() : undefined;
  });
}

const connects =
  "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=30)";

/** What both programs can do. */
function usual(project: () => Project): void {
  it("comes up in the order that its health checks say", async () => {
    await project().compose("up", "-d");
    const started = async (service: string): Promise<bigint> => {
      const [id = ""] = await project().ids(service);
      const text = await engine.docker(["inspect", "-f", "{{.State.StartedAt}}", id]);
      return BigInt(Date.parse(text));
    };
    assert.ok((await started("db")) < (await started("api")));
    assert.ok((await started("api")) < (await started("web")));
    const [api = ""] = await project().ids("api");
    assert.equal(
      await engine.docker(["inspect", "-f", "{{.State.Health.Status}}", api]),
      "healthy",
    );
    assert.deepEqual(await project().ids("admin"), [], "a service of a profile has been started");
  });
  it("serves through all four services", async () => {
    const url = await project().url();
    assert.equal(await (await fetch(url)).text(), "shop\n");
    const refused = await fetch(`${url}/orders`, { method: "POST", body: "x" });
    assert.equal(refused.status, 403, "the API has not read its secret");
    assert.match(await order(url, "rope"), /^ROPE by [0-9a-f]{12}$/);
  });
  it("keeps networks apart", async () => {
    const reach = async (service: string, host: string, port: number): Promise<Ran> =>
      await project().tryCompose([
        "exec",
        "-T",
        service,
        "python3",
        "-c",
        connects,
        host,
        String(port),
      ]);
    assert.equal((await reach("api", "db", 6379)).code, 0);
    assert.equal((await reach("api", "storefront", 8080)).code, 0, "the alias is not known");
    assert.notEqual((await reach("web", "db", 6379)).code, 0, "web reaches the database");
  });
  it("changes nothing when it is brought up again", async () => {
    const before = await inventory();
    await project().compose("up", "-d");
    await assertUnchanged(before);
  });
  it("scales a service up and down, and its workers share the orders", async () => {
    await project().compose("up", "-d", "--scale", "worker=3", "--no-recreate");
    const ids = await project().ids("worker");
    assert.equal(ids.length, 3);
    const url = await project().url();
    const names = new Set<string>();
    await eventually(async () => {
      names.add((await order(url, "tar")).split(" ").at(-1) ?? "");
      return names.size > 1;
    });
    for (const name of names) assert.ok(ids.some((id) => id.startsWith(name)));
    await project().compose("up", "-d", "--scale", "worker=1", "--no-recreate");
    assert.equal((await project().ids("worker")).length, 1);
  });
  it("runs one-off commands, also of a profile's service, and removes them", async () => {
    const before = await inventory();
    const shown = await project().tryCompose(["run", "--rm", "-T", "admin"]);
    assert.equal(shown.stdout.trim(), "0", shown.stderr);
    const failed = await project().tryCompose([
      "run",
      "--rm",
      "-T",
      "worker",
      "sh",
      "-c",
      "exit 7",
    ]);
    assert.equal(failed.code, 7, failed.stderr);
    await assertUnchanged(before);
  });
  it("executes in a service, with input and exit code", async () => {
    const echoed = await project().tryCompose(["exec", "-T", "db", "cat"], { input: "through" });
    assert.equal(echoed.stdout, "through", echoed.stderr);
    const failed = await project().tryCompose(["exec", "-T", "db", "sh", "-c", "exit 5"]);
    assert.equal(failed.code, 5);
  });
}

/** What they can do, too. The older one, a program in Python, takes its time: with it only where there is much. */
function further(project: () => Project): void {
  it("follows the logs of several services until they stop", async () => {
    const child = spawn(...split(project().argv(["logs", "-f", "--no-color", "worker", "api"])), {
      env: project().env(),
      stdio: ["ignore", "pipe", "pipe"],
    });
    let seen = "";
    child.stdout.on("data", (chunk: Buffer) => (seen += chunk.toString()));
    const ended = once(child, "close");
    const number = (
      await project().compose("exec", "-T", "db", "redis-cli", "get", "orders")
    ).trim();
    await order(await project().url(), "anchor");
    await eventually(() => seen.includes(`done ${String(Number(number) + 1)}`));
    assert.match(seen, /api\S*\s+\| api listens/);
    await project().compose("stop", "worker", "api");
    await ended;
    await project().compose("start", "api", "worker");
    // nginx looks the API's address up once.
    await project().compose("restart", "web");
  });
  it("recreates what has changed, with its data", async () => {
    const [before = ""] = await project().ids("db");
    await project().compose("up", "-d", "--force-recreate", "--no-deps", "db");
    const [db = ""] = await project().ids("db");
    assert.notEqual(db, before);
    await eventually(async () => {
      const orders = await project().tryCompose(["exec", "-T", "db", "redis-cli", "get", "orders"]);
      return Number(orders.stdout) > 0;
    });
    await project().compose("restart", "worker");
    assert.match(await order(await project().url(), "sail"), /^SAIL by /);
  });
  it("pauses and goes on", async () => {
    await project().compose("pause", "worker");
    const [worker = ""] = await project().ids("worker");
    assert.equal(await engine.docker(["inspect", "-f", "{{.State.Status}}", worker]), "paused");
    await project().compose("unpause", "worker");
    assert.match(await order(await project().url(), "oar"), /^OAR by /);
  });
}

function split(argv: readonly string[]): [string, string[]] {
  const [program = "", ...args] = argv;
  return [program, args];
}

/** Takes everything down and compares with what was there before. */
function takesDown(project: () => Project, before: () => Record<string, string[]>): void {
  it("leaves nothing with down -v, not even anonymous volumes", async () => {
    await project().compose("--profile", "tools", "down", "-v", "--remove-orphans");
    await assertUnchanged(before());
  });
}

/** What the plugin can do, of any version. @param version how it begins */
function plugin(suite: string, version: string): void {
  let project: Project;
  let atFirst: Record<string, string[]>;
  before(async () => {
    atFirst = await inventory();
    const config = await mkdtemp(path.join(engine.root, "client-"));
    project = new Project(await composePlugin(config, suite), "compose.yaml", "shop");
    assert.ok((await project.compose("version", "--short")).startsWith(version));
  });
  usual(() => project);
  further(() => project);
  it("waits for services with --wait, and lists them with their state", async () => {
    await project.compose("up", "-d", "--wait");
    const lines = (await project.compose("ps", "--format", "json")).split("\n");
    const services = lines.map((line) => JSON.parse(line) as { Service: string; State: string });
    assert.deepEqual(services.map(({ Service, State }) => `${Service} ${State}`).sort(), [
      "api running",
      "db running",
      "web running",
      "worker running",
    ]);
  });
  it("copies out of a service and back", async () => {
    const file = path.join(engine.root, "copied");
    await project.compose("exec", "-T", "worker", "sh", "-c", "echo from the worker > /tmp/report");
    await project.compose("cp", "worker:/tmp/report", file);
    assert.equal(await readFile(file, "utf8"), "from the worker\n");
    await writeFile(file, "to the volume\n");
    await project.compose("cp", file, "worker:/results/note");
    assert.equal(
      await project.compose("exec", "-T", "worker", "cat", "/results/note"),
      "to the volume",
    );
  });
  it("starts a profile's services when they are asked for", async () => {
    await project.compose("--profile", "tools", "up", "-d");
    const id = await project.compose("--profile", "tools", "ps", "-aq", "admin");
    assert.equal(await engine.docker(["wait", id]), "0");
  });
  takesDown(
    () => project,
    () => atFirst,
  );
}

describe("docker-compose 2.26", () => {
  plugin("trixie", "2.26.");
});

if (deep) {
  describe("docker-compose of sid", () => {
    plugin("sid", "");
  });
}

describe("docker-compose 1.29", () => {
  let project: Project;
  let atFirst: Record<string, string[]>;
  before(async () => {
    atFirst = await inventory();
    project = new Project(await composePython(), "compose-v1.yaml", "oldshop");
    assert.match(await project.compose("version"), /1\.29\./);
  });
  usual(() => project);
  if (deep) further(() => project);
  takesDown(
    () => project,
    () => atFirst,
  );
});
