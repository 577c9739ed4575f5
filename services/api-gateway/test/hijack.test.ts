/** Attach and exec start: what goes over the wire before, during and after the takeover. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, describe, it } from "node:test";
import { eventually } from "@gantry/testkit";
import { frame } from "./fakes/container-service.ts";
import { ask, bodyOf, post, RawClient } from "./fakes/http.ts";
import { openStack, type Stack } from "./fakes/stack.ts";

let stack: Stack;
before(async () => {
  stack = await openStack();
  stack.containers.programs.set("echo", (socket, { args }) => {
    socket.write(frame(1, `${args.join(" ")}\n`));
    return Promise.resolve(0);
  });
  // Answers only when the input has ended: output after the client's half-close.
  stack.containers.programs.set("wc", async (socket) => {
    let count = 0;
    for await (const chunk of socket.iterator({ destroyOnReturn: false }))
      count += (chunk as Buffer).length;
    socket.write(frame(1, String(count)));
    return 0;
  });
  stack.containers.programs.set("raw", async (socket) => {
    socket.on("data", (chunk: Buffer) => {
      socket.write(chunk);
    });
    await once(socket, "end");
    return 0;
  });
  stack.containers.programs.set("sleep", async (socket) => {
    await once(socket, "close");
    return 0;
  });
});
after(async () => {
  await stack[Symbol.asyncDispose]();
});

async function created(cmd: string[], fields: object = {}): Promise<string> {
  const answer = await post(stack.socket, "/containers/create", {
    Image: "busybox",
    Cmd: cmd,
    ...fields,
  });
  assert.equal(answer.status, 201, answer.body);
  return (answer.json() as { Id: string }).Id;
}

async function attached(id: string, query: string, headers = ""): Promise<RawClient> {
  const client = await RawClient.connect(stack.socket);
  client.socket.write(
    `POST /containers/${id}/attach?${query} HTTP/1.1\r\nHost: d\r\n${headers}\r\n`,
  );
  await client.until((text) => text.includes("\r\n\r\n"));
  return client;
}

const upgrade = "Connection: Upgrade\r\nUpgrade: tcp\r\n";

describe("attach", () => {
  it("answers 101 UPGRADED with an Upgrade header, without Docker's usual headers", async () => {
    const id = await created(["echo", "hi"]);
    const client = await attached(id, "stream=1&stdout=1", upgrade);
    assert.equal(
      client.text,
      "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
    );
    await post(stack.socket, `/containers/${id}/start`);
    assert.equal(bodyOf(await client.untilEnd()), frame(1, "hi\n").toString("latin1"));
    client.socket.destroy();
  });

  it("answers 200 without one, and the same bytes follow", async () => {
    const id = await created(["echo", "hi"]);
    const client = await attached(id, "stream=1&stdout=1");
    assert.equal(
      client.text,
      "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n",
    );
    await post(stack.socket, `/containers/${id}/start`);
    assert.equal(bodyOf(await client.untilEnd()), frame(1, "hi\n").toString("latin1"));
    client.socket.destroy();
  });

  for (const how of ["ended", "over"] as const) {
    it(`is an empty stream where the run ended before the connection was made: ${how}`, async () => {
      const id = await created(["echo", "hi"]);
      stack.containers.vanishing.set(id, how);
      const client = await attached(id, "stream=1&stdout=1", upgrade);
      assert.match(client.text, /^HTTP\/1\.1 101 UPGRADED\r\n/);
      assert.equal(bodyOf(await client.untilEnd()), "");
    });
  }

  it("is Docker's 404 where the container was removed before the connection was made", async () => {
    const id = await created(["echo", "hi"]);
    stack.containers.vanishing.set(id, "removed");
    const client = await attached(id, "stream=1&stdout=1", upgrade);
    assert.match(await client.untilEnd(), /^HTTP\/1\.1 404 [^]*\bNo such container: /i);
  });

  it("announces a raw stream below 1.42 and for a terminal", async () => {
    const plain = await created(["echo"]);
    const old = await RawClient.connect(stack.socket);
    old.socket.write(
      `POST /v1.41/containers/${plain}/attach?stream=1 HTTP/1.1\r\nHost: d\r\n${upgrade}\r\n`,
    );
    assert.match(await old.until((text) => text.includes("\r\n\r\n")), /vnd\.docker\.raw-stream/);
    old.socket.destroy();
    const tty = await created(["echo"], { Tty: true });
    const client = await attached(tty, "stream=1&stdout=1", upgrade);
    assert.match(client.text, /vnd\.docker\.raw-stream/);
    client.socket.destroy();
  });

  it("keeps the output open after the client's half-close", async () => {
    const id = await created(["wc"]);
    const client = await attached(id, "stream=1&stdin=1&stdout=1", upgrade);
    await post(stack.socket, `/containers/${id}/start`);
    const input = Buffer.alloc(300_000, "x");
    client.socket.end(input);
    assert.equal(bodyOf(await client.untilEnd()), frame(1, "300000").toString("latin1"));
  });

  it("is binary-clean and holds a writer back that nobody reads", async () => {
    const id = await created(["raw"], { Tty: true });
    const client = await attached(id, "stream=1&stdin=1&stdout=1", upgrade);
    await post(stack.socket, `/containers/${id}/start`);
    const headLength = client.received.length;
    client.socket.pause();
    const bytes = Buffer.from(Array.from({ length: 4_000_000 }, (_, i) => (i * 7919) % 256));
    client.socket.end(bytes);
    await eventually(() => client.socket.writableLength > 1_000_000);
    client.socket.resume();
    await client.untilEnd();
    assert.ok(client.received.subarray(headLength).equals(bytes));
  });

  it("to a missing container is a raw 404 in plain text", async () => {
    const client = await RawClient.connect(stack.socket);
    client.socket.write(
      `POST /containers/none/attach?stream=1 HTTP/1.1\r\nHost: d\r\n${upgrade}\r\n`,
    );
    assert.equal(
      await client.untilEnd(),
      "HTTP/1.1 404 Not Found\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\nNo such container: none\r\n",
    );
  });

  it("refuses bad detach keys", async () => {
    const id = await created(["echo"]);
    const client = await RawClient.connect(stack.socket);
    client.socket.write(
      `POST /containers/${id}/attach?stream=1&detachKeys=bad HTTP/1.1\r\nHost: d\r\n${upgrade}\r\n`,
    );
    assert.match(
      await client.untilEnd(),
      /^HTTP\/1\.1 400 .*Invalid detach keys \(bad\) provided/s,
    );
  });

  it("ends the container's side when the client is cut", async () => {
    const id = await created(["sleep"]);
    const before = stack.containers.openStreams;
    const clients = await Promise.all(
      Array.from({ length: 20 }, () => attached(id, "stream=1&stdin=1&stdout=1", upgrade)),
    );
    await eventually(() => stack.containers.openStreams === before + 20);
    for (const client of clients) client.socket.destroy();
    await eventually(() => stack.containers.openStreams === before);
  });
});

describe("exec start", () => {
  async function exec(cmd: string[]): Promise<string> {
    const id = await created(["sleep"]);
    const answer = await post(stack.socket, `/containers/${id}/exec`, {
      Cmd: cmd,
      AttachStdout: true,
    });
    assert.equal(answer.status, 201);
    return (answer.json() as { Id: string }).Id;
  }

  function request(id: string, body: string, headers: string): string {
    return `POST /exec/${id}/start HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: ${String(body.length)}\r\n${headers}\r\n`;
  }

  it("repeats the usual headers in its 101", async () => {
    const id = await exec(["wc"]);
    const client = await RawClient.connect(stack.socket);
    client.socket.write(`${request(id, "{}", upgrade)}{}`);
    await client.until((text) => text.includes("\r\n\r\n"));
    assert.match(
      client.text,
      /^HTTP\/1\.1 101 UPGRADED\r\nContent-Type: application\/vnd\.docker\.multiplexed-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nApi-Version: 1\.52\r\n/,
    );
    client.socket.end("12345");
    assert.equal(bodyOf(await client.untilEnd()), frame(1, "5").toString("latin1"));
  });

  for (const [headers, head] of [
    [upgrade, /^HTTP\/1\.1 101 UPGRADED\r\n/],
    ["", /^HTTP\/1\.1 200 OK\r\n/],
  ] as const) {
    it(`says in the stream that it has been started before (${headers === "" ? "200" : "101"})`, async () => {
      const id = await exec(["wc"]);
      assert.equal((await post(stack.socket, `/exec/${id}/start`, { Detach: true })).status, 200);
      const client = await RawClient.connect(stack.socket);
      client.socket.write(`${request(id, "{}", headers)}{}`);
      const text = await client.untilEnd();
      assert.match(text, head);
      const expected = frame(1, `exec command ${id} is already running\r\n`);
      assert.equal(bodyOf(text), expected.toString("latin1"));
    });
  }

  it("is 409 when it has been started before, and no stream is asked for", async () => {
    const id = await exec(["wc"]);
    await post(stack.socket, `/exec/${id}/start`, { Detach: true });
    const answer = await post(stack.socket, `/exec/${id}/start`, { Detach: true });
    assert.equal(answer.status, 409);
    assert.equal(answer.body, `{"message":"exec command ${id} is already running"}\n`);
  });

  it("says so in the stream where the container ended before the connection was made", async () => {
    const id = await exec(["wc"]);
    const known = stack.containers.containerOf(id);
    stack.containers.vanishing.set(known, "ended");
    const client = await RawClient.connect(stack.socket);
    client.socket.write(`${request(id, "{}", upgrade)}{}`);
    const text = await client.untilEnd();
    assert.match(text, /^HTTP\/1\.1 101 UPGRADED\r\n/);
    const expected = frame(1, `container ${known} is not running\r\n`);
    assert.equal(bodyOf(text), expected.toString("latin1"));
  });

  it("is Docker's 404 where the exec went with its container before the connection was made", async () => {
    const id = await exec(["wc"]);
    const known = stack.containers.containerOf(id);
    stack.containers.vanishing.set(known, "removed");
    const client = await RawClient.connect(stack.socket);
    client.socket.write(`${request(id, "{}", upgrade)}{}`);
    assert.match(await client.untilEnd(), /^HTTP\/1\.1 404 [^]*No such exec instance: /);
  });

  it("takes a body that comes later, byte by byte, and input right behind it", async () => {
    const id = await exec(["wc"]);
    const client = await RawClient.connect(stack.socket);
    const body = '{"Detach":false,"Tty":false}';
    client.socket.write(request(id, body, upgrade));
    for (const char of body) {
      await new Promise((resolve) => client.socket.write(char, resolve));
      await new Promise(setImmediate);
    }
    client.socket.end("input");
    assert.equal(bodyOf(await client.untilEnd()), frame(1, "5").toString("latin1"));
  });

  it("takes body and input in one segment", async () => {
    const id = await exec(["wc"]);
    const client = await RawClient.connect(stack.socket);
    client.socket.end(`${request(id, "{}", upgrade)}{}abc`);
    assert.equal(bodyOf(await client.untilEnd()), frame(1, "3").toString("latin1"));
  });

  it("answers 200 without Upgrade, and what follows is input", async () => {
    const id = await exec(["wc"]);
    const client = await RawClient.connect(stack.socket);
    client.socket.write(`${request(id, "{}", "")}{}`);
    await client.until((text) => text.includes("\r\n\r\n"));
    assert.match(
      client.text,
      /^HTTP\/1\.1 200 OK\r\nContent-Type: application\/vnd\.docker\.raw-stream\r\nApi-Version/,
    );
    client.socket.end("abcd");
    assert.equal(bodyOf(await client.untilEnd()), frame(1, "4").toString("latin1"));
  });

  it("ends the stream only when the exit is recorded, so that the client can ask for its code", async () => {
    const recorded = Promise.withResolvers<undefined>();
    stack.containers.execRecorded = recorded.promise;
    const id = await exec(["wc"]);
    const client = await RawClient.connect(stack.socket);
    client.socket.end(`${request(id, "{}", upgrade)}{}abc`);
    await client.until((all) => all.endsWith(frame(1, "3").toString("latin1")));
    await eventually(() =>
      stack.containers.seen.some(({ method, request: of }) => method === "waitExec" && of === id),
    );
    assert.equal(client.ended, false);
    recorded.resolve(undefined);
    await client.untilEnd();
    stack.containers.execRecorded = Promise.resolve();
  });

  it("of an unknown exec is a JSON 404", async () => {
    for (const headers of [upgrade, ""]) {
      const client = await RawClient.connect(stack.socket);
      client.socket.write(`${request("none", "{}", headers)}{}`);
      const text = await client.untilEnd();
      assert.match(text, /^HTTP\/1\.1 404 Not Found\r\n/);
      assert.match(text, /\r\nContent-Type: application\/json\r\n/);
      assert.match(text, /\{"message":"No such exec instance: none"\}\n$/);
    }
  });

  it("with bad JSON is a 400", async () => {
    const id = await exec(["wc"]);
    const client = await RawClient.connect(stack.socket);
    client.socket.write(`${request(id, "{]", upgrade)}{]`);
    assert.match(await client.untilEnd(), /^HTTP\/1\.1 400 .*invalid JSON/s);
  });

  it("detached answers 200 without body", async () => {
    const id = await exec(["wc"]);
    const answer = await post(stack.socket, `/exec/${id}/start`, { Detach: true });
    assert.equal(answer.status, 200);
    assert.equal(answer.body, "");
  });

  it("needs a command at create", async () => {
    const id = await created(["sleep"]);
    const answer = await post(stack.socket, `/containers/${id}/exec`, { Cmd: [] });
    assert.equal(answer.status, 400);
    assert.equal(answer.body, '{"message":"No exec command specified"}\n');
  });
});

it("a container's start is no takeover, though its path ends like one", async () => {
  const id = await created(["exit", "0"]);
  const answer = await ask(stack.socket, { method: "POST", path: `/containers/${id}/start` });
  assert.equal(answer.status, 204);
});
