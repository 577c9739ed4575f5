import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, statSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import { readNatsUrl, wakeSocketPath } from "@gantry/config";
import { type EngineRoots, eventually, findLeaks, openEngineRoots } from "@gantry/testkit";
import { debianProgram } from "@gantry/testkit/debian";
import { loadState } from "../src/index.ts";
import { describeProcess } from "../src/process-record.ts";

const main = path.join(import.meta.dirname, "../src/main.ts");
const fixtures = path.join(import.meta.dirname, "fixtures");
const natsServer = await debianProgram("nats-server", "/usr/sbin/nats-server");

interface Fixture {
  readonly roots: EngineRoots;
  launch(...args: string[]): ChildProcess;
  history(): string[];
  pidOf(name: string): number;
}

async function open(t: TestContext, env: Record<string, string> = {}): Promise<Fixture> {
  const roots = await openEngineRoots({ env: { GANTRY_NATS_SERVER: natsServer, ...env } });
  const children: ChildProcess[] = [];
  t.after(async () => {
    for (const child of children) await end(child, "SIGKILL");
    const stop = spawn(process.execPath, [main, "stop", "--programs", fixtures], {
      env: roots.env,
    });
    await once(stop, "exit");
    await roots.close();
  });
  const { runRoot } = roots.config;
  return {
    roots,
    launch(...args) {
      const argv = [main, "--programs", fixtures, ...args];
      const child = spawn(process.execPath, argv, { env: roots.env, stdio: "ignore" });
      children.push(child);
      return child;
    },
    history: () => readFileSync(path.join(runRoot, "history"), "utf8").trim().split("\n"),
    pidOf(name) {
      const file = path.join(runRoot, "processes", `${name}.json`);
      return (JSON.parse(readFileSync(file, "utf8")) as { pid: number }).pid;
    },
  };
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) {
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
  }
  return child.exitCode;
}

async function ready({ roots }: Fixture, child: ChildProcess): Promise<void> {
  await eventually(() => {
    const state = loadState(roots.config.runRoot);
    return state?.pid === child.pid && state?.phase === "ready";
  });
}

async function restarted({ roots }: Fixture, times: number): Promise<void> {
  await eventually(() => {
    const state = loadState(roots.config.runRoot);
    return state?.generation === times && state.phase === "ready";
  });
}

/** What comes from a wake socket until it is closed. */
async function answerOf(file: string): Promise<string> {
  const socket = net.connect(file);
  let text = "";
  socket.on("data", (chunk: Buffer) => (text += chunk.toString()));
  await once(socket, "close");
  return text;
}

function accepts(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = net.connect(Number(port), hostname);
    socket.once("error", () => {
      resolve(false);
    });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
  });
}

/** A zombie that nobody waits for is not alive. */
const alive = (pid: number): boolean => describeProcess(pid) !== undefined;

describe("the supervisor", () => {
  it("starts services in order and stops containers first, leaving nothing", async (t) => {
    const fixture = await open(t);
    const child = fixture.launch();
    await ready(fixture, child);
    assert.equal(await end(child, "SIGTERM"), 0);
    assert.deepEqual(fixture.history(), [
      "image-service starts",
      "container-service starts",
      "api-gateway starts",
      "containers stop",
      "api-gateway ends",
      "container-service ends",
      "image-service ends",
    ]);
    const { roots } = fixture;
    assert.deepEqual(await findLeaks({ root: roots.path, ...roots.config }), []);
    assert.equal(readNatsUrl(roots.config), undefined);
    assert.equal(existsSync(path.join(roots.config.runRoot, "processes")), false);
  });

  it("brings back a service that was killed, and NATS on its old port", async (t) => {
    const fixture = await open(t);
    await ready(fixture, fixture.launch());
    const url = await eventually(() => readNatsUrl(fixture.roots.config));
    const mode = statSync(path.join(fixture.roots.config.runRoot, "nats.url")).mode;
    assert.equal(mode & 0o777, 0o600);
    for (const name of ["container-service", "nats-server"]) {
      const before = fixture.pidOf(name);
      process.kill(before, "SIGKILL");
      await eventually(() => fixture.pidOf(name) !== before);
    }
    await eventually(() => accepts(url));
    assert.equal(readNatsUrl(fixture.roots.config), url);
  });

  it("starts the builder when it is asked for, and lets it end by itself", async (t) => {
    const fixture = await open(t);
    await ready(fixture, fixture.launch());
    const wake = wakeSocketPath(fixture.roots.config, "build-service");
    assert.equal(statSync(wake).mode & 0o777, 0o600);
    const starts = () => fixture.history().filter((line) => line === "build-service starts").length;
    assert.equal(starts(), 0);
    // Several at once share one start.
    assert.deepEqual(await Promise.all([answerOf(wake), answerOf(wake)]), ["", ""]);
    assert.equal(starts(), 1);
    process.kill(fixture.pidOf("build-service"), "SIGTERM");
    await eventually(() => fixture.history().includes("build-service ends"));
    assert.equal(await answerOf(wake), "");
    assert.equal(starts(), 2);
    // Wanted while it is about to come back from a crash.
    for (const count of [3, 4, 5]) {
      process.kill(fixture.pidOf("build-service"), "SIGKILL");
      assert.equal(await answerOf(wake), "");
      assert.equal(starts(), count);
    }
  });

  it("restarts the services only, one after the other, when asked to", async (t) => {
    const fixture = await open(t);
    const child = fixture.launch();
    await ready(fixture, child);
    await eventually(() => readNatsUrl(fixture.roots.config));
    const nats = fixture.pidOf("nats-server");
    const { dockerSocket } = fixture.roots.config;
    const socket = statSync(dockerSocket).ino;
    child.kill("SIGUSR2");
    await restarted(fixture, 1);
    assert.deepEqual(fixture.history().slice(3), [
      "image-service ends",
      "image-service starts",
      "container-service ends",
      "container-service starts",
      "api-gateway ends",
      "api-gateway starts",
    ]);
    assert.equal(fixture.pidOf("nats-server"), nats);
    assert.ok(alive(nats));
    // Who has it mounted keeps it.
    assert.equal(statSync(dockerSocket).ino, socket);
    assert.equal(await end(child, "SIGTERM"), 0);
    assert.equal(existsSync(dockerSocket), false);
  });

  it("ends the builder in a restart, and starts it when it is wanted again", async (t) => {
    const fixture = await open(t);
    const child = fixture.launch();
    await ready(fixture, child);
    const wake = wakeSocketPath(fixture.roots.config, "build-service");
    assert.equal(await answerOf(wake), "");
    child.kill("SIGUSR2");
    await restarted(fixture, 1);
    assert.equal(fixture.history().at(-1), "build-service ends");
    assert.equal(await answerOf(wake), "");
    assert.equal(fixture.history().at(-1), "build-service starts");
  });

  it("passes a reload on to every service", async (t) => {
    const fixture = await open(t);
    const child = fixture.launch();
    await ready(fixture, child);
    child.kill("SIGHUP");
    await eventually(() => fixture.history().length === 6);
    assert.deepEqual(fixture.history().slice(3).toSorted(), [
      "api-gateway reloads",
      "container-service reloads",
      "image-service reloads",
    ]);
  });

  it("leaves a second one no room, and services alive when it is killed itself", async (t) => {
    const fixture = await open(t);
    const first = fixture.launch();
    await ready(fixture, first);
    const [code] = (await once(fixture.launch(), "exit")) as [number];
    assert.equal(code, 1);
    await end(first, "SIGKILL");
    const before = fixture.pidOf("image-service");
    assert.ok(alive(before));
    const next = fixture.launch();
    await ready(fixture, next);
    assert.notEqual(fixture.pidOf("image-service"), before);
    assert.equal(alive(before), false);
    assert.equal(await end(next, "SIGTERM"), 0);
  });

  it("stops an engine whose supervisor is gone", async (t) => {
    const fixture = await open(t);
    const first = fixture.launch();
    await ready(fixture, first);
    await answerOf(wakeSocketPath(fixture.roots.config, "build-service"));
    const builder = fixture.pidOf("build-service");
    await end(first, "SIGKILL");
    assert.ok(alive(builder));
    const [code] = (await once(fixture.launch("stop"), "exit")) as [number];
    assert.equal(code, 0);
    assert.ok(!alive(builder), "the builder runs on");
    assert.ok(fixture.history().includes("containers stop"));
    const { roots } = fixture;
    assert.deepEqual(await findLeaks({ root: roots.path, ...roots.config }), []);
  });

  it("runs no NATS of its own when there is another", async (t) => {
    const fixture = await open(t, { GANTRY_NATS_URL: "nats://127.0.0.1:1" });
    await ready(fixture, fixture.launch());
    assert.throws(() => fixture.pidOf("nats-server"));
  });
});
