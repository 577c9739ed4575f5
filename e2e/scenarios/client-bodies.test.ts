/** What client libraries send and ask for, and the stock CLI does not, as a dockerd 28.5 answers it. */
import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import { TestEngine } from "@gantry/testkit/test-engine";
import { type Answer, ask } from "../src/http.ts";

let engine: TestEngine;

before(async () => {
  engine = await TestEngine.start();
  const config = ["--user", "7", "-e", "A=1", "-e", "B=1", "--label", "l=v", "--expose", "80"];
  await engine.docker(["run", "-d", "--name", "box", ...config, "busybox", "sleep", "100000"]);
});
after(async () => {
  await engine.docker(["rm", "-f", "box"]);
  await engine[Symbol.asyncDispose]();
});

async function post(path: string, body?: object): Promise<Answer> {
  return await ask(engine, { method: "POST", path, ...(body === undefined ? {} : { body }) });
}

it("a commit's body goes over the container's configuration", async () => {
  const changes = encodeURIComponent('CMD ["true"]');
  const path = `/v1.50/commit?container=box&repo=committed&changes=${changes}`;
  for (const body of [{}, { Env: ["A=2"], Labels: { m: "w" } }]) {
    const { status, body: answer } = await post(path, body);
    assert.equal(status, 201, answer);
    const shown = await engine.docker(["inspect", "-f", "{{json .Config}}", "committed"]);
    const config = JSON.parse(shown) as Readonly<Record<string, unknown>>;
    const { User, ExposedPorts, Labels, Cmd } = config;
    const isOver = "Env" in body;
    assert.deepEqual(
      { User, ExposedPorts, Labels, Cmd },
      {
        ...{ User: "7", ExposedPorts: { "80/tcp": {} }, Cmd: ["true"] },
        Labels: { l: "v", ...(isOver ? { m: "w" } : {}) },
      },
    );
    const env = (config["Env"] as string[]).filter((variable) => !variable.startsWith("PATH="));
    assert.deepEqual(env.toSorted(), [isOver ? "A=2" : "A=1", "B=1"]);
  }
  await engine.docker(["rmi", "committed"]);
});

it("a size for what has no terminal is no error", async () => {
  assert.equal((await post("/containers/box/resize?h=40&w=80")).status, 200);
});

it("an exec without a user is the container's user's", async () => {
  const { body } = await post("/containers/box/exec", { Cmd: ["true"] });
  const { Id } = JSON.parse(body) as { Id: string };
  const exec = await ask(engine, { path: `/exec/${Id}/json` });
  const { ProcessConfig } = JSON.parse(exec.body) as { ProcessConfig: { user: string } };
  assert.equal(ProcessConfig.user, "7");
});

it("the archive of a path that climbs has no names that do", async () => {
  const root = "/containers/box/archive?path=/etc/../../..";
  const { headers } = await ask(engine, { method: "HEAD", path: root });
  const header = String(headers["x-docker-container-path-stat"]);
  const facts = JSON.parse(Buffer.from(header, "base64").toString()) as { name: string };
  assert.equal(facts.name, "/");
  await engine.docker(["exec", "box", "mkdir", "-p", "/tmp/upper/lower"]);
  const { body } = await ask(engine, { path: "/containers/box/archive?path=/tmp/upper/lower/.." });
  assert.ok(body.includes("upper/lower/") && !body.includes("../"));
});
