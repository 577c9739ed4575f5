/**
 * Several clients at once do everything there is with the same few containers, networks, volumes and images. Whatever
 * another client has just done or is doing, the answers are those that Docker documents, and in the end nothing is left.
 *
 * GANTRY_TEST_SEED repeats the choices of a run (not their timing).
 */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import http from "node:http";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { chooseSeed, type Random, randomFrom } from "@gantry/testkit/random";
import { TestEngine } from "@gantry/testkit/test-engine";
import { untilPasses } from "@gantry/testkit/until-passes";
import { tarOf } from "../src/classic-build.ts";

const lastsMs = 3 * 60_000;
const clients = 8;
const seed = chooseSeed();

/** No hexadecimal digits first: they would name a build's step by the beginning of its ID. */
const containers = ["x1", "x2", "x3"];
const networks = ["n1", "n2"];
const volumes = ["v1", "v2"];
const tags = ["made:1", "made:2"];
const commands = [
  ["sleep", "100"],
  ["true"],
  ["sh", "-c", "echo a; sleep 0.2; echo b"],
  ["sh", "-c", "while :; do echo x; sleep 0.05; done"],
];

interface Question {
  readonly method: string;
  readonly target: string;
  readonly body?: object | Uint8Array;
}

interface Reply {
  /** 0: no answer within the client's patience. */
  readonly status: number;
  readonly text: string;
}

/** Statuses that say what has become of things; 500 only in the words of these. */
const documented: ReadonlySet<number> = new Set([0, 101, 200, 201, 204, 304, 400, 403, 404, 409]);
const saidWith500 =
  /is not paused|is not connected to (the )?network|port is already allocated|address already in use/;
/** What no error may hold, beside places of the engine's own: words of the kernel or of our programs. */
const ourFault = /\bE(NOENT|BUSY|EXIST|SRCH|NODEV|PIPE)\b|TypeError|undefined|shim process/;

type Ask = (random: Random) => Question;

function post(target: string, body?: object): Question {
  return { method: "POST", target, ...(body && { body }) };
}

const bool = (random: Random): string => random.pick(["0", "1"]);

function creation(random: Random): Question {
  const body = {
    Image: random.pick(["busybox", ...tags]),
    Cmd: random.pick(commands),
    Healthcheck: random.pick([{}, { Test: ["CMD", "true"], Interval: 100_000_000 }]),
    ExposedPorts: { "80/tcp": {} },
    HostConfig: {
      NetworkMode: random.pick(["default", "none", ...networks]),
      Binds: random.pick([[], ["v1:/v"], ["v2:/w", "/anonymous"]]),
      RestartPolicy: { Name: random.pick(["no", "no", "always", "on-failure"]) },
      PortBindings: random.pick([{}, { "80/tcp": [{ HostPort: "" }] }]),
      AutoRemove: false,
    },
  };
  return post(`/containers/create?name=${random.pick(containers)}`, body);
}

function ofContainer(method: string, ...ends: string[]): Ask {
  return (random) => ({
    method,
    target: `/containers/${random.pick(containers)}${random.pick(ends)}`,
  });
}

function asks(context: Uint8Array): readonly Ask[] {
  const prune = (what: string) => () => post(`/${what}/prune`);
  const get = (...targets: string[]): Ask => {
    return (random) => ({ method: "GET", target: random.pick(targets) });
  };
  return [
    creation,
    creation,
    (random) =>
      post(`/containers/create?name=${random.pick(containers)}`, {
        Image: "busybox",
        Cmd: ["sleep", "0.1"],
        HostConfig: { AutoRemove: true },
      }),
    ofContainer("POST", "/start"),
    ofContainer("POST", "/start"),
    ofContainer("POST", "/start"),
    ofContainer("POST", "/stop?t=0", "/stop?t=1", "/restart?t=0"),
    ofContainer("POST", "/kill", "/kill?signal=TERM", "/kill?signal=HUP"),
    ofContainer("POST", "/pause", "/unpause"),
    ofContainer("POST", ...containers.map((name) => `/rename?name=${name}`)),
    ofContainer("POST", "/wait", "/resize?h=20&w=80"),
    (random) =>
      post(`/containers/${random.pick(containers)}/update`, {
        Memory: 64 << 20,
        MemorySwap: -1,
        RestartPolicy: { Name: "no" },
      }),
    ofContainer("GET", "/json", "/json?size=1", "/top", "/changes", "/export"),
    ofContainer("GET", "/stats?stream=0", "/stats?stream=0&one-shot=1", "/logs?stdout=1&follow=1"),
    ofContainer("GET", "/archive?path=/etc/hosts", "/archive?path=/v"),
    ofContainer("HEAD", "/archive?path=/v"),
    (random) => {
      const query = `container=${random.pick(containers)}&repo=made&tag=${random.pick(["1", "2"])}`;
      return post(`/commit?${query}&pause=${bool(random)}`, {});
    },
    ofContainer("DELETE", "?force=1", "?force=1&v=1", ""),
    ofContainer("DELETE", "?force=1", "?force=1&v=1", ""),
    (random) => post("/networks/create", { Name: random.pick(networks) }),
    (random) => ({ method: "DELETE", target: `/networks/${random.pick(networks)}` }),
    (random) =>
      post(`/networks/${random.pick(networks)}/${random.pick(["connect", "disconnect"])}`, {
        Container: random.pick(containers),
      }),
    (random) => post("/volumes/create", { Name: random.pick(volumes) }),
    (random) => ({ method: "DELETE", target: `/volumes/${random.pick(volumes)}` }),
    get("/networks", "/networks/n1", "/volumes", "/volumes/v1"),
    get("/containers/json?all=1", "/containers/json?all=1&size=1", "/system/df", "/info"),
    get("/images/json?all=1&shared-size=1", ...tags.map((tag) => `/images/${tag}/json`)),
    get(...tags.flatMap((tag) => [`/images/${tag}/history`, `/images/${tag}/get`])),
    (random) => post(`/images/busybox/tag?repo=made&tag=${random.pick(["1", "2"])}`),
    (random) => ({
      method: "DELETE",
      target: `/images/${random.pick(tags)}?force=${bool(random)}`,
    }),
    (random) => ({ ...post(`/build?t=${random.pick(tags)}`), body: context }),
    (random) => prune(random.pick(["containers", "networks", "volumes", "images"]))(),
  ];
}

/** Two copies of one file at once would be asking for trouble. */
function copyIn(context: Uint8Array): Ask {
  return (random) => ({
    method: "PUT",
    target: `/containers/${random.pick(containers)}/archive?path=/`,
    body: context,
  });
}

const patienceMs = 600;
/** What changes something is waited for: what nobody has read about would stay. */
const changingMs = 120_000;

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

function send({ method, target, body }: Question): Promise<Reply> {
  const bytes = body === undefined || body instanceof Uint8Array ? body : JSON.stringify(body);
  const type = body instanceof Uint8Array ? "application/x-tar" : "application/json";
  const waits = method === "GET" || target.endsWith("/wait");
  return new Promise((resolve, reject) => {
    let status = 0;
    let text = "";
    const request = http.request({
      socketPath: path.join(engine.runRoot, "docker.sock"),
      method,
      path: `/v1.47${target}`,
      headers: { host: "docker", ...(bytes !== undefined && { "content-type": type }) },
      agent: false,
    });
    const leave = (): void => {
      clearTimeout(timer);
      request.destroy();
      resolve({ status, text });
    };
    const timer = setTimeout(leave, waits ? patienceMs : changingMs);
    request.on("response", (response) => {
      status = response.statusCode ?? 0;
      response.on("data", (chunk: Buffer) => {
        if (text.length < 100_000) text += chunk.toString("latin1");
      });
      response.on("end", leave);
      response.on("error", leave);
    });
    request.on("error", (error) => {
      clearTimeout(timer);
      if (request.destroyed) leave();
      else reject(error);
    });
    request.end(bytes);
  });
}

/** What is wrong with an answer, or nothing. */
function faultOf({ method, target }: Question, { status, text }: Reply): string | undefined {
  const isDocumented = documented.has(status) || (status === 500 && saidWith500.test(text));
  const isPlain =
    status < 400
      ? !text.includes("errorDetail")
      : !ourFault.test(text) && !text.includes(engine.root);
  if (isDocumented && isPlain) return undefined;
  return `${method} ${target}: ${String(status)} ${text.slice(-500)}`;
}

describe(`clients with few names, seed ${String(seed)}`, () => {
  it("get Docker's answers, and nothing is left when all is removed", {
    timeout: lastsMs + 5 * 60_000,
  }, async (test) => {
    test.diagnostic(`GANTRY_TEST_SEED=${String(seed)}`);
    const folder = path.join(engine.root, "context");
    mkdirSync(folder);
    writeFileSync(
      path.join(folder, "Dockerfile"),
      "FROM busybox\nRUN echo 1 > /x && sleep 0.1\nRUN touch /y\n",
    );
    const context = await tarOf(folder);
    const all = asks(context);
    const faults: string[] = [];
    let asked = 0;
    const until = performance.now() + lastsMs;
    const client = async (random: Random, choices: readonly Ask[]): Promise<void> => {
      while (performance.now() < until && faults.length < 20) {
        const question = random.pick(choices)(random);
        const fault = faultOf(question, await send(question));
        if (fault !== undefined) faults.push(fault);
        asked += 1;
      }
    };
    const random = randomFrom(seed);
    await Promise.all(
      Array.from({ length: clients }, (_, index) => {
        const choices = index === 0 ? [...all, copyIn(context)] : all;
        return client(randomFrom(random.integer(0, 2 ** 30)), choices);
      }),
    );
    test.diagnostic(`${String(asked)} requests`);
    assert.deepEqual(faults, []);
    await removeEverything();
  });
});

async function removeEverything(): Promise<void> {
  const ids = (await engine.docker(["ps", "-aq"])).split("\n").filter((id) => id !== "");
  if (ids.length > 0) await engine.docker(["rm", "-fv", ...ids]);
  for (const what of ["network", "volume"]) {
    await engine.docker([what, "prune", "-f", ...(what === "volume" ? ["-a"] : [])]);
  }
  await engine.docker(["image", "prune", "-af"]);
  await engine.docker(["builder", "prune", "-af"]);
  assert.equal(await engine.docker(["images", "-aq"]), "");
  await untilPasses(() => {
    const snapshots = readdirSync(path.join(engine.dataRoot, "image-service/snapshots"));
    assert.deepEqual(snapshots.sort(), [".trash", "base", "empty"]);
    const blobs = readdirSync(path.join(engine.dataRoot, "image-service/content/blobs/sha256"));
    assert.deepEqual(blobs, []);
  });
}
