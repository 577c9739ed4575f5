/** Events of both services as one stream. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { eventually } from "@gantry/testkit";
import { ask, bodyOf, RawClient } from "./fakes/http.ts";
import { openStack, type Stack } from "./fakes/stack.ts";

let stack: Stack;
before(async () => {
  stack = await openStack();
});
after(async () => {
  await stack[Symbol.asyncDispose]();
});

const second = 1_000_000_000n;
const past = 1_700_000_000n * second;

function container(action: string, timeNano: bigint, more: Record<string, string> = {}): void {
  const attributes = { image: "busybox:latest", name: "web", ...more };
  stack.containers.addEvent({ type: "container", action, actorId: "c1", attributes, timeNano });
}

function image(action: string, timeNano: bigint): void {
  stack.images.addEvent({
    type: "image",
    action,
    actorId: "busybox:latest",
    attributes: { name: "busybox" },
    timeNano,
  });
}

const actions = (body: string): string[] =>
  body
    .trim()
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => (JSON.parse(line) as { Action: string }).Action);

async function query(parameters: Record<string, string>, version = "") {
  const text = new URLSearchParams(parameters).toString();
  return await ask(stack.socket, `${version}/events?${text}`);
}

/** A live subscription. */
async function live(parameters: Record<string, string> = {}): Promise<RawClient> {
  const client = await RawClient.connect(stack.socket);
  client.socket.write(
    `GET /events?${new URLSearchParams(parameters).toString()} HTTP/1.1\r\nHost: d\r\n\r\n`,
  );
  await client.until((text) => text.includes("\r\n\r\n"));
  return client;
}

describe("events", () => {
  before(() => {
    container("create", past + 1n * second);
    image("pull", past + 2n * second);
    container("start", past + 3n * second);
    image("tag", past + 4n * second);
    container("exec_create: sh -c true", past + 5n * second, { tier: "web" });
    image("create", past + 6n * second);
  });

  it("of the past are merged by time", async () => {
    const answer = await query({ since: "1700000000", until: "1700000100" });
    assert.deepEqual(actions(answer.body), [
      "create",
      "pull",
      "start",
      "tag",
      "exec_create: sh -c true",
      "create",
    ]);
    assert.equal(answer.headers["content-type"], "application/jsonl");
  });

  it("are cut at both ends", async () => {
    const answer = await query({ since: "1700000002", until: "1700000003.5" });
    assert.deepEqual(actions(answer.body), ["pull", "start"]);
    assert.equal((await query({ since: "5", until: "3" })).status, 400);
    assert.equal((await query({ since: "yesterday" })).status, 400);
  });

  it("have old fields, an old type, and no image create for old clients", async () => {
    const answer = await query({ since: "1700000000", until: "1700000100" }, "/v1.45");
    assert.equal(answer.headers["content-type"], "application/json");
    assert.equal(actions(answer.body).length, 5);
    assert.match(answer.body, /^\{"status":"create","id":"c1","from":"busybox:latest","Type"/);
  });

  const filtered: readonly (readonly [string, object, string[]])[] = [
    ["type", { type: ["image"] }, ["pull", "tag", "create"]],
    ["two values of a key", { event: ["start", "pull"] }, ["pull", "start"]],
    ["two keys", { type: ["container"], event: ["create"] }, ["create"]],
    ["an action with argument", { event: ["exec_create"] }, ["exec_create: sh -c true"]],
    ["a label", { label: ["tier=web"] }, ["exec_create: sh -c true"]],
    ["a container's name", { container: ["web"] }, ["create", "start", "exec_create: sh -c true"]],
    [
      "an image without tag, also of containers",
      { image: ["busybox"] },
      ["create", "pull", "start", "tag", "exec_create: sh -c true", "create"],
    ],
    ["another scope", { scope: ["swarm"] }, []],
  ];
  for (const [name, filters, expected] of filtered) {
    it(`are filtered by ${name}`, async () => {
      const answer = await query({
        since: "1700000000",
        until: "1700000100",
        filters: JSON.stringify(filters),
      });
      assert.deepEqual(actions(answer.body), expected);
    });
  }

  it("come in the framing that was asked for", async () => {
    const path = "/events?since=1700000001&until=1700000001.5";
    const seq = await ask(stack.socket, { path, headers: { accept: "application/json-seq" } });
    assert.equal(seq.headers["content-type"], "application/json-seq");
    assert.match(seq.body, /^\u001e\{.*\}\n$/);
    const any = await ask(stack.socket, { path, headers: { accept: "*/*" } });
    assert.equal(any.headers["content-type"], "application/jsonl");
  });

  it("of the present follow those of the past, none lost and none twice", async () => {
    const client = await live({ since: "1700000005" });
    container("live-1", BigInt(Date.now()) * 1_000_000n);
    image("live-2", BigInt(Date.now()) * 1_000_000n);
    const text = await client.until((all) => all.includes("live-1") && all.includes("live-2"));
    for (const word of ["exec_create", "live-1", "live-2"]) {
      assert.equal(text.split(`"Action":"${word}`).length, 2, word);
    }
    client.socket.destroy();
  });

  it("without since begin now, head first", async () => {
    const client = await live();
    assert.equal(bodyOf(client.text), "");
    container("fresh", BigInt(Date.now()) * 1_000_000n);
    const text = await client.until((all) => all.includes("fresh"));
    assert.doesNotMatch(text, /"pull"/);
    client.socket.destroy();
  });

  it("end at a time in the future", async () => {
    const until = String(Date.now() / 1000 + 0.3);
    const answer = await query({ until, filters: '{"type":["nothing"]}' });
    assert.equal(answer.status, 200);
  });

  it("end at a time in the future, also while a service is away", async () => {
    await stack.images.stop();
    try {
      const answer = await query({ until: (Date.now() / 1000 + 0.3).toFixed(3) });
      assert.equal(answer.status, 200);
    } finally {
      await stack.restartImages();
    }
  });
  it("go on through a restart of a service, and those of the other one meanwhile", async () => {
    const client = await live();
    await stack.containers.stop();
    image("meanwhile", BigInt(Date.now()) * 1_000_000n);
    await client.until((all) => all.includes("meanwhile"));
    container("while-down", BigInt(Date.now()) * 1_000_000n);
    await stack.restartContainers();
    container("after", BigInt(Date.now()) * 1_000_000n);
    const text = await client.until((all) => all.includes('"after"'));
    assert.match(text, /while-down/);
    client.socket.destroy();
  });

  it("are no longer waited for when the client is gone", async () => {
    const listeners = (): number => stack.containers.eventAdded.listenerCount("added");
    await eventually(() => listeners() === 0);
    const client = await live();
    await eventually(() => listeners() === 1);
    client.socket.destroy();
    await eventually(() => listeners() === 0);
  });
});
