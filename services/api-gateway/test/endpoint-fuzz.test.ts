/**
 * Random and hostile JSON for every container and exec endpoint of a whole engine. The shapes come from the
 * route table and from the decoders themselves. Only documented statuses come back, no service restarts, and
 * nothing leaks: descriptors, processes, memory.
 *
 * A sample in `npm test`, 20 minutes in `npm run test:deep`; GANTRY_TEST_SEED repeats the choices.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import http from "node:http";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { chooseSeed, type Random, randomFrom } from "@gantry/testkit/random";
import { type ServiceName, TestEngine } from "@gantry/testkit/test-engine";
import { untilPasses } from "@gantry/testkit/until-passes";
import { decodeCreate } from "../src/http/decode/create.ts";
import type { Fields } from "../src/http/decode/fields.ts";
import { decodeRestartPolicy } from "../src/http/decode/host-config.ts";
import { decodeResources } from "../src/http/decode/resources.ts";
import type { Route } from "../src/http/route.ts";
import { containerRoutes } from "../src/http/routes/containers.ts";
import { execRoutes } from "../src/http/routes/exec.ts";
import { bodyFor, queryText } from "./fuzz/bodies.ts";
import { type Shape, shapeOf } from "./fuzz/shape.ts";

const deep = process.env["GANTRY_TEST_DEEP"] === "1";
const lastsMs = deep ? 20 * 60_000 : 25_000;
const seed = chooseSeed();
const newest = 52;

const createShape = shapeOf((fields) => decodeCreate(fields, newest));
const updateShape = shapeOf((fields) => {
  const policy = fields.object("RestartPolicy");
  if (policy !== undefined) decodeRestartPolicy(policy);
  return decodeResources(fields, newest);
});
const execShape = shapeOf((fields: Fields) => {
  for (const name of ["AttachStdin", "AttachStdout", "AttachStderr", "Tty", "Privileged"]) {
    fields.flag(name);
  }
  for (const name of ["User", "WorkingDir", "DetachKeys"]) fields.text(name);
  fields.texts("Env");
  fields.sizes("ConsoleSize");
  fields.oneOrMoreTexts("Cmd");
});
const startExecShape = shapeOf((fields: Fields) => {
  for (const name of ["Detach", "Tty"]) fields.flag(name);
  fields.sizes("ConsoleSize");
});
const shapes: Readonly<Record<string, Shape>> = {
  "/containers/create": createShape,
  "/containers/{name}/update": updateShape,
  "/containers/{name}/exec": execShape,
  "/exec/{name}/start": startExecShape,
};

const parameters = [
  ...["all", "limit", "size", "filters", "name", "platform", "force", "v", "link", "t", "signal"],
  ...["h", "w", "path", "stdout", "stderr", "since", "until", "timestamps", "tail", "follow"],
  ...["logs", "stream", "stdin", "detachKeys", "condition", "ps_args", "one-shot", "details"],
  ...["noOverwriteDirNonDir", "copyUIDGID"],
];

/** Statuses that Docker documents for these endpoints; 301 is its router's answer to a path that is not clean. */
const documented: ReadonlySet<number> = new Set([
  101, 200, 201, 204, 301, 304, 400, 403, 404, 405, 406, 409, 413, 415, 501,
]);
/** Where the runtime itself may refuse, Docker says 500: then with a text that tells of it. */
const runtimeMayRefuse =
  /\/(start|restart|stop|kill|pause|unpause|top|resize|archive|export|exec|update|create|changes|attach|json|stats|\{name\})$/;
/** Words of a fault of ours, in whatever answer. */
const ourFault =
  /TypeError|RangeError|SyntaxError|undefined|is not a function|Cannot (read|mix|convert)|not iterable|Maximum call stack|internal error/;

interface Reply {
  /** 0: a stream that went on, which we left. */
  readonly status: number;
  readonly body: string;
}

/** A stream is left after this time, and so is a call that waits for a container. */
const patienceMs = 800;
/** What makes or removes something is never left: a container whose ID nobody read would stay. */
const withoutEndMs = 5 * 60_000;
const mostBytes = 100_000;

function send(engine: TestEngine, method: string, target: string, body: string): Promise<Reply> {
  const changes = method === "DELETE" || target.includes("/containers/create?");
  return new Promise((resolve, reject) => {
    const request = http.request({
      socketPath: path.join(engine.runRoot, "docker.sock"),
      method,
      path: target,
      headers: { host: "docker", ...(body === "" ? {} : { "content-type": "application/json" }) },
      agent: false,
    });
    let status = 0;
    let text = "";
    const leave = (): void => {
      clearTimeout(timer);
      request.destroy();
      resolve({ status, body: text });
    };
    const timer = setTimeout(leave, changes ? withoutEndMs : patienceMs);
    request.on("response", (response) => {
      status = response.statusCode ?? 0;
      response.on("data", (chunk: Buffer) => {
        if (text.length < mostBytes) text += chunk.toString("latin1");
      });
      response.on("end", leave);
      response.on("error", leave);
    });
    request.on("upgrade", (response, socket) => {
      status = response.statusCode ?? 0;
      socket.on("error", () => undefined);
      socket.destroy();
      leave();
    });
    request.on("error", (error) => {
      clearTimeout(timer);
      if (status === 0 && !request.destroyed) reject(error);
      else resolve({ status, body: text });
    });
    request.end(body);
  });
}

const services: readonly ServiceName[] = ["api-gateway", "container-service", "image-service"];

interface Usage {
  readonly pid: number;
  readonly descriptors: number;
  readonly residentMiB: number;
  readonly children: number;
}

async function usageOf(engine: TestEngine): Promise<Record<string, Usage>> {
  const usage: Record<string, Usage> = {};
  for (const service of services) {
    const [pid = 0] = await engine.pidsOf(service);
    const proc = `/proc/${String(pid)}`;
    const status = readFileSync(`${proc}/status`, "utf8");
    const residentKiB = Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]);
    usage[service] = {
      pid,
      descriptors: readdirSync(`${proc}/fd`).length,
      residentMiB: residentKiB / 1024,
      children: readFileSync(`${proc}/task/${String(pid)}/children`, "utf8").split(" ").length - 1,
    };
  }
  return usage;
}

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

/** One session: what it made it removes, so that the engine is empty after it. */
class Session {
  readonly #random: Random;
  readonly #routes: readonly Route[] = [...containerRoutes, ...execRoutes];
  #names: string[] = [];
  #execs: string[] = [];
  readonly counts = new Map<number, number>();
  /** Answers that must not be. */
  readonly failures: string[] = [];

  constructor(random: Random) {
    this.#random = random;
  }

  async run(untilMs: number): Promise<void> {
    while (performance.now() < untilMs) {
      await this.#request(this.#random.pick(this.#routes));
      if (this.#names.length === 0 || this.#random.next() < 0.25) await this.#create();
      if (this.#names.length > 6) await this.#removeAll();
    }
    await this.#removeAll();
  }

  async #create(): Promise<void> {
    const route = this.#routes.find((each) => each.path === "/containers/create");
    if (route !== undefined) await this.#request(route);
  }

  async #request(route: Route): Promise<void> {
    const random = this.#random;
    const target = `${this.#version()}${this.#path(route.path)}?${this.#query()}`;
    const shape = shapes[route.path];
    const sendsBody = route.method === "POST" || route.method === "PUT";
    const body = shape === undefined || !sendsBody ? "" : bodyFor(random, shape);
    const reply = await send(engine, route.method, target, body);
    this.counts.set(reply.status, (this.counts.get(reply.status) ?? 0) + 1);
    this.#check(route, reply, `${route.method} ${target.slice(0, 500)}\n${body.slice(0, 2000)}`);
    this.#keep(route, reply);
  }

  #check(route: Route, reply: Reply, asked: string): void {
    const { status, body } = reply;
    const answer = `${String(status)} ${body.slice(0, 500)}\n${asked}`;
    const may = status === 500 ? runtimeMayRefuse.test(route.path) : documented.has(status);
    if (status !== 0 && !may) this.failures.push(answer);
    else if (status >= 400 && ourFault.test(body)) this.failures.push(answer);
  }

  #keep(route: Route, { status, body }: Reply): void {
    if (status !== 201) return;
    const { Id } = JSON.parse(body) as { Id?: string };
    if (Id === undefined) return;
    if (route.path === "/containers/create") this.#names.push(Id);
    if (route.path.endsWith("/exec")) this.#execs.push(Id);
  }

  #version(): string {
    return this.#random.pick(["", "/v1.24", "/v1.40", "/v1.44", "/v1.52", "/v1.52"]);
  }

  #path(template: string): string {
    const random = this.#random;
    const known = template.startsWith("/exec/") ? this.#execs : this.#names;
    return template.replaceAll(/\{[a-z]+\}/g, () => {
      const useKnown = known.length > 0 && random.next() < 0.8;
      const name = useKnown ? random.pick(known) : queryText(random).toWellFormed();
      return encodeURIComponent(name || "x");
    });
  }

  #query(): string {
    const random = this.#random;
    const query = new URLSearchParams();
    for (let count = random.integer(0, 3); count > 0; count--) {
      query.set(random.pick(parameters), queryText(random).toWellFormed());
    }
    return query.toString();
  }

  async #removeAll(): Promise<void> {
    for (const id of this.#names) {
      await untilPasses(async () => {
        const { status, body } = await send(engine, "DELETE", `/containers/${id}?force=1&v=1`, "");
        assert.ok(status === 204 || status === 404, `${String(status)} ${body}`);
      });
    }
    this.#names = [];
    this.#execs = [];
  }
}

describe(`random and hostile requests, seed ${String(seed)}`, () => {
  it("know the fields of the bodies", () => {
    assert.ok(createShape.has("HostConfig") && createShape.has("NetworkingConfig"));
    const host = createShape.get("HostConfig");
    assert.ok(host !== undefined && "of" in host && host.of.size > 60, "HostConfig is not read");
    assert.ok(updateShape.size > 20);
  });

  it("get documented statuses, restart nothing and leak nothing", {
    timeout: lastsMs + 10 * 60_000,
  }, async (context) => {
    context.diagnostic(`GANTRY_TEST_SEED=${String(seed)}`);
    const random = randomFrom(seed);
    // Warm: code is loaded, heaps have their size.
    await new Session(randomFrom(random.integer(0, 2 ** 30))).run(performance.now() + lastsMs / 10);
    const before = await usageOf(engine);
    const until = performance.now() + lastsMs;
    const sessions = [1, 2, 3].map(() => new Session(randomFrom(random.integer(0, 2 ** 30))));
    await Promise.all(sessions.map((session) => session.run(until)));
    for (const session of sessions) context.diagnostic(JSON.stringify([...session.counts]));
    const failures = sessions.flatMap((session) => session.failures);
    assert.equal(
      failures.slice(0, 20).join("\n\n"),
      "",
      `${String(failures.length)} wrong answers`,
    );
    await engine.docker(["volume", "prune", "-af"]);
    assert.equal(await engine.docker(["ps", "-aq"]), "");
    await untilPasses(async () => {
      const now = await usageOf(engine);
      context.diagnostic(JSON.stringify({ before, now }));
      for (const service of services) assertNoLeak(service, before[service], now[service]);
    });
  });
});

/** Heaps breathe, by more the more a machine gets done in the time: what is lost grows without end. */
const breathMiB = 96;

function assertNoLeak(service: string, before: Usage | undefined, now: Usage | undefined): void {
  assert.ok(before !== undefined && now !== undefined);
  assert.equal(now.pid, before.pid, `${service} was restarted`);
  assert.ok(
    now.descriptors <= before.descriptors + 8,
    `${service}: ${String(before.descriptors)} descriptors, then ${String(now.descriptors)}`,
  );
  assert.ok(now.children <= before.children, `${service} has children left`);
  assert.ok(
    now.residentMiB <= before.residentMiB + breathMiB,
    `${service}: ${before.residentMiB.toFixed(0)} MiB, then ${now.residentMiB.toFixed(0)}`,
  );
}
