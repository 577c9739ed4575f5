/** What people do with Compose beside bringing an application up: by docker-compose 2.26, in small projects. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { type ComposeProgram, composePlugin } from "@gantry/testkit/compose";
import type { Ran } from "@gantry/testkit/run";
import { run } from "@gantry/testkit/run";
import { TestEngine } from "@gantry/testkit/test-engine";
import { untilPasses } from "@gantry/testkit/until-passes";

let engine: TestEngine;
let program: ComposeProgram;
let folder: string;

before(async () => {
  engine = await TestEngine.start();
  program = await composePlugin(await mkdtemp(path.join(engine.root, "client-")));
  folder = await mkdtemp(path.join(engine.root, "project-"));
  await mkdir(path.join(folder, "src"));
  await Promise.all(Object.entries(files).map(async ([name, text]) => await write(name, text)));
  await engine.docker(["network", "create", "shared"]);
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});
/** Every test takes down what it has brought up, and nothing is left. */
afterEach(async () => {
  for (const name of ["compose.yaml", "port.yaml", "done.yaml"]) {
    await compose("-f", name, "--profile", "*", "down", "-v", "-t", "0", "--remove-orphans");
  }
  assert.equal(await engine.docker(["ps", "-aq"]), "");
  assert.equal(await engine.docker(["volume", "ls", "-q"]), "");
  assert.equal(
    await engine.docker(["network", "ls", "-f", "type=custom", "--format", "{{.Name}}"]),
    "shared",
  );
});

const page = "mkdir -p /www && echo hi > /www/index.html && exec httpd -f -p 80 -h /www";
const untilTold = "trap 'exit 3' TERM; while :; do sleep 0.1; done";
const files = {
  "src/first": "one\n",
  "app.env": "GREETING=from a file\n",
  "base.yaml": `
services:
  common: { image: busybox, environment: { FROM: base } }
`,
  "more.yaml": `
services:
  included: { image: busybox, command: sleep 1000, init: true }
`,
  "compose.yaml": `
name: features
include: [more.yaml]
services:
  web:
    extends: { file: base.yaml, service: common }
    command: ["sh", "-c", "${page}"]
    stop_signal: SIGKILL
    env_file: [app.env]
    ports: ["127.0.0.1::80"]
    networks: { fixed: { ipv4_address: 10.96.5.10, aliases: [www] }, outer: {} }
    healthcheck: { test: [CMD, wget, -qO-, "http://127.0.0.1/"], interval: 1s, start_period: 30s, start_interval: 200ms }
    build: { context: ., dockerfile_inline: "FROM busybox" }
    develop: { watch: [{ path: ./src, action: sync, target: /src }] }
  worker:
    image: busybox
    command: ["sh", "-c", "${untilTold}"]
    networks: [fixed]
    volumes: [data:/data]
    depends_on: { web: { condition: service_healthy, restart: true } }
  beside: { image: busybox, command: sleep 1000, init: true, network_mode: "service:web", profiles: [side] }
  job: { image: busybox, command: ["sh", "-c", "echo done; exit 4"], network_mode: none, profiles: [job] }
networks:
  fixed:
    driver_opts: { com.docker.network.driver.mtu: "1400" }
    ipam: { config: [{ subnet: 10.96.5.0/24, ip_range: 10.96.5.128/25, gateway: 10.96.5.1, aux_addresses: { host: 10.96.5.128 } }] }
  outer: { external: true, name: shared }
volumes: { data: {} }
`,
  "changed.yaml": "services: { worker: { environment: { CHANGED: 'yes' } } }\n",
  "small.yaml":
    "name: features\nservices: { included: { image: busybox, command: sleep 1000, init: true } }\n",
  "port.yaml": `
name: ports
services:
  one: { image: busybox, command: sleep 1000, ports: ["127.0.0.1:18766:80"] }
  two: { image: busybox, command: sleep 1000, ports: ["127.0.0.1:18766:80"], depends_on: [one] }
`,
  "done.yaml": `
name: done
services:
  prepare: { image: busybox, command: "true" }
  serve: { image: busybox, command: sleep 1000, depends_on: { prepare: { condition: service_completed_successfully } } }
  broken: { image: busybox, command: "false" }
  never: { image: busybox, command: sleep 1000, depends_on: { broken: { condition: service_completed_successfully } } }
`,
};

async function write(name: string, text: string): Promise<void> {
  await writeFile(path.join(folder, name), text);
}

async function tryCompose(...args: readonly string[]): Promise<Ran> {
  const env = { ...engine.clientEnv(), ...program.env };
  return await run([...program.command, ...args], { env, cwd: folder });
}

async function compose(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await tryCompose(...args);
  assert.equal(code, 0, stderr);
  return stdout.trim();
}

async function up(...args: readonly string[]): Promise<void> {
  await compose("up", "-d", "--no-build", "--wait", ...args);
}

async function inside(service: string, ...command: readonly string[]): Promise<string> {
  return await compose("exec", "-T", service, ...command);
}

async function idOf(service: string): Promise<string> {
  return await compose("ps", "-aq", service);
}

/** `service state` of all containers of the project. */
async function states(): Promise<string[]> {
  const shown = await compose("ps", "-a", "--format", "{{.Service}} {{.State}}");
  return shown.split("\n").toSorted();
}

describe("a project", () => {
  it("has the networks, addresses and settings that its files say", async () => {
    await up();
    assert.equal(await inside("worker", "wget", "-qO-", "http://www/"), "hi");
    assert.match(await inside("worker", "nslookup", "-type=a", "web"), /Address: 10\.96\.5\.10$/m);
    assert.match(
      await inside("worker", "ip", "-4", "-o", "addr", "show", "eth0"),
      / 10\.96\.5\.129\//,
    );
    assert.match(await inside("worker", "ip", "link", "show", "eth0"), /mtu 1400/);
    assert.equal(await inside("web", "sh", "-c", "echo $GREETING, $FROM"), "from a file, base");
    const format = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}";
    assert.equal(
      await engine.docker(["inspect", "-f", format, await idOf("web")]),
      "features_fixed shared ",
    );
    assert.match(await compose("port", "web", "80"), /^127\.0\.0\.1:\d+$/);
    await compose("--profile", "side", "up", "-d", "--no-build", "beside");
    assert.equal(
      await compose(
        "--profile",
        "side",
        "exec",
        "-T",
        "beside",
        "wget",
        "-qO-",
        "http://127.0.0.1/",
      ),
      "hi",
    );
  });

  it("is recreated where it has changed and nowhere else, and loses its orphans", async () => {
    await up();
    const [web, worker] = [await idOf("web"), await idOf("worker")];
    await compose("-f", "compose.yaml", "-f", "changed.yaml", "up", "-d", "--no-build");
    assert.equal(await idOf("web"), web);
    assert.notEqual(await idOf("worker"), worker);
    assert.equal(await inside("worker", "sh", "-c", "echo $CHANGED"), "yes");
    await compose("-f", "small.yaml", "up", "-d", "--remove-orphans");
    assert.deepEqual(await states(), ["included running"]);
  });

  it("restarts those who depend on what is restarted", async () => {
    await up();
    const started = async (): Promise<string> =>
      await engine.docker(["inspect", "-f", "{{.State.StartedAt}}", await idOf("worker")]);
    const before = await started();
    await compose("restart", "-t", "1", "web");
    assert.notEqual(await started(), before);
  });

  it("is scaled, killed, stopped and started", async () => {
    await up("--scale", "included=3");
    assert.equal((await idOf("included")).split("\n").length, 3);
    await compose("scale", "included=1");
    assert.equal((await idOf("included")).split("\n").length, 1);
    await compose("kill", "included");
    await compose("stop", "-t", "60", "worker");
    assert.deepEqual(await states(), ["included exited", "web running", "worker exited"]);
    const exit = "{{.Service}} {{.ExitCode}}";
    assert.match(await compose("ps", "-a", "--format", exit), /^worker 3$/m);
    assert.match(await compose("ps", "-a", "--format", exit), /^included 137$/m);
    await compose("start", "included", "worker");
    assert.deepEqual(await states(), ["included running", "web running", "worker running"]);
  });

  it("shows its processes, images and use, and is in the list of projects", async () => {
    await up();
    assert.match(await compose("top", "worker"), /trap 'exit 3' TERM/);
    assert.match(await compose("images"), /^features-worker-1 +busybox +latest /m);
    assert.match(await compose("stats", "--no-stream", "--format", "{{.Name}}"), /features-web-1/);
    const listed = JSON.parse(await compose("ls", "--format", "json")) as { Name: string }[];
    assert.deepEqual(
      listed.map(({ Name, ...rest }) => [Name, (rest as { Status?: string }).Status]),
      [["features", "running(3)"]],
    );
  });

  it("tells its events", async () => {
    await up();
    const argv: string[] = [...program.command, "events", "--json"];
    const [command = "", ...args] = argv;
    const env = { ...engine.clientEnv(), ...program.env };
    const child = spawn(command, args, { cwd: folder, env, stdio: ["ignore", "pipe", "ignore"] });
    const ended = once(child, "close");
    let text = "";
    child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
    // The probes of the web server are events, too: the stream is there.
    await untilPasses(() => {
      assert.match(text, /"action":"exec_die"/);
    });
    await compose("kill", "included");
    await untilPasses(() => {
      assert.match(text, /"action":"die".*"exitCode":"137".*"service":"included"/);
    });
    child.kill("SIGINT");
    await ended;
  });

  it("ends with a job's exit code, and stops the others then", async () => {
    const job = ["--profile", "job", "up", "--no-build"];
    const alone = await tryCompose(...job, "--exit-code-from", "job", "job");
    assert.equal(alone.code, 4, alone.stderr);
    assert.match(alone.stdout, /job-1 +\| done/);
    await tryCompose(...job, "--abort-on-container-exit", "job", "included");
    assert.deepEqual(await states(), ["included exited", "job exited"]);
  });

  it("has its sources watched: files come and go while it runs", async () => {
    await up("web");
    const argv: string[] = [...program.command, "watch", "--no-up"];
    const [command = "", ...args] = argv;
    const env = { ...engine.clientEnv(), ...program.env };
    const child = spawn(command, args, { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] });
    const ended = once(child, "close");
    let text = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (chunk: Buffer) => (text += chunk.toString()));
    await untilPasses(() => {
      assert.match(text, /Watch enabled/);
    });
    await write("src/second", "two\n");
    await untilPasses(async () => {
      assert.equal(await inside("web", "cat", "/src/second"), "two");
    });
    await rm(path.join(folder, "src/second"));
    await untilPasses(async () => {
      assert.equal((await tryCompose("exec", "-T", "web", "cat", "/src/second")).code, 1);
    });
    // What an interrupt cuts off is an error, too: the second look at a change may be under way.
    assert.doesNotMatch(text, /level=|rror/);
    child.kill("SIGINT");
    await ended;
  });
});

describe("a project that cannot come up", () => {
  it("says which port is taken", async () => {
    const { code, stderr } = await tryCompose("-f", "port.yaml", "up", "-d");
    assert.equal(code, 1);
    assert.match(stderr, /Bind for 127\.0\.0\.1:18766 failed: port is already allocated/);
  });

  it("starts those whose jobs are done, and not those whose jobs have failed", async () => {
    const { code, stderr } = await tryCompose("-f", "done.yaml", "up", "-d");
    assert.equal(code, 1);
    assert.match(stderr, /service "broken" didn't complete successfully: exit 1/);
    const shown = await compose(
      "-f",
      "done.yaml",
      "ps",
      "-a",
      "--format",
      "{{.Service}} {{.State}}",
    );
    assert.match(shown, /^never created$/m);
  });
});
