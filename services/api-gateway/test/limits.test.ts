/** Hostile HTTP/1.1 and JSON (class S14): each attack is refused, bounded, and leaves the gateway well. */
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { after, before, beforeEach, describe, it } from "node:test";
import { eventually } from "@gantry/testkit";
import { maxJsonBytes } from "../src/http/decode/body.ts";
import { ask, RawClient } from "./fakes/http.ts";
import { openStack, type Stack } from "./fakes/stack.ts";

let stack: Stack;
before(async () => {
  stack = await openStack({ maxConnections: 40 });
});
after(async () => {
  await stack[Symbol.asyncDispose]();
});
beforeEach(async () => {
  const answer = await eventually(() => ask(stack.socket, "/_ping"));
  assert.equal(answer.body, "OK", "the gateway is not well");
});

/** Sends bytes and returns all that comes back until the connection ends. */
async function send(...parts: (string | Buffer)[]): Promise<string> {
  const client = await RawClient.connect(stack.socket);
  for (const part of parts) client.socket.write(part);
  return await client.untilEnd();
}

const createHead =
  "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n";
const seenCreates = (): number =>
  stack.containers.seen.filter(({ method }) => method === "createContainer").length;

describe("request smuggling", () => {
  const body = '{"Image":"busybox"}';
  const attacks: readonly (readonly [string, string])[] = [
    [
      "Content-Length with Transfer-Encoding",
      `${createHead}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n13\r\n${body}\r\n0\r\n\r\n`,
    ],
    [
      "Transfer-Encoding before Content-Length",
      `${createHead}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n13\r\n${body}\r\n0\r\n\r\n`,
    ],
    ["two lengths", `${createHead}Content-Length: 19\r\nContent-Length: 5\r\n\r\n${body}`],
    [
      "an unknown transfer encoding",
      `${createHead}Transfer-Encoding: xchunked\r\n\r\n13\r\n${body}\r\n0\r\n\r\n`,
    ],
    ["a blank before the colon", `${createHead}Content-Length : 19\r\n\r\n${body}`],
    [
      "an empty chunk size",
      `${createHead}Transfer-Encoding: chunked\r\n\r\n\r\n${body}\r\n0\r\n\r\n`,
    ],
    [
      "a negative chunk size",
      `${createHead}Transfer-Encoding: chunked\r\n\r\n-1\r\n${body}\r\n0\r\n\r\n`,
    ],
    [
      "a chunk size that overflows",
      `${createHead}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n${body}`,
    ],
    ["a length that is no number", `${createHead}Content-Length: 0x13\r\n\r\n${body}`],
    [
      "a length that overflows",
      `${createHead}Content-Length: 99999999999999999999999\r\n\r\n${body}`,
    ],
    ["a NUL in a header", `${createHead}X: a\0b\r\nContent-Length: 19\r\n\r\n${body}`],
    ["a line feed alone in a header", `${createHead}X: a\nContent-Length: 19\r\n\r\n${body}`],
    [
      "no host",
      `POST /containers/create HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 19\r\n\r\n${body}`,
    ],
    ["a method that doesn't exist", "HACK / HTTP/1.1\r\nHost: d\r\n\r\n"],
    ["TLS", "\x16\x03\x01\x02\x00\x01\x00\x01"],
    ["a broken HTTP/2 preface", "PRX * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
  ];
  for (const [name, text] of attacks) {
    it(`by ${name} is a 400 and the end of the connection`, async () => {
      const before = seenCreates();
      const answer = await send(text);
      assert.match(answer, /^HTTP\/1\.1 400 /, JSON.stringify(answer));
      assert.equal(seenCreates(), before, "the request reached the service");
    });
  }
});

describe("a body without end", () => {
  it("is refused when its length says so, before it is read", async () => {
    const answer = await send(`${createHead}Content-Length: ${String(maxJsonBytes + 1)}\r\n\r\n{`);
    assert.match(answer, /^HTTP\/1\.1 400 .*request body is larger than/s);
  });
  it("is refused when its chunks go on, and the client can read why", async () => {
    const client = await RawClient.connect(stack.socket);
    client.socket.write(`${createHead}Transfer-Encoding: chunked\r\n\r\n`);
    const chunk = Buffer.concat([
      Buffer.from("10000\r\n"),
      Buffer.alloc(65_536, 0x20),
      Buffer.from("\r\n"),
    ]);
    const before = process.memoryUsage().arrayBuffers;
    for (let sent = 0; sent < 4000 && client.text === "" && !client.ended; sent++) {
      if (!client.socket.write(chunk)) await client.changed();
    }
    assert.match(
      await client.until((text) => text.includes("\r\n\r\n")),
      /^HTTP\/1\.1 400 .*Connection: close/s,
    );
    assert.ok(process.memoryUsage().arrayBuffers - before < 64 * 1024 * 1024);
    client.socket.destroy();
  });
  it("that never continues holds only its own connection", async () => {
    const clients = await Promise.all(
      Array.from({ length: 10 }, () => RawClient.connect(stack.socket)),
    );
    for (const client of clients) client.socket.write(`${createHead}Content-Length: 100\r\n\r\n{`);
    assert.equal((await ask(stack.socket, "/_ping")).status, 200);
    for (const client of clients) client.socket.destroy();
  });
});

describe("JSON", () => {
  const create = (body: string) =>
    ask(stack.socket, { method: "POST", path: "/containers/create", body });
  const attacks: readonly (readonly [string, string])[] = [
    ["arrays in arrays", `{"Env":${"[".repeat(100_000)}`],
    ["objects in objects", '{"HostConfig":'.repeat(10_000)],
    ["a million values", `{"Env":[${'"",'.repeat(1_000_000)}""]}`],
    ["a key twice", '{"Image":"busybox","Image":"other"}'],
    ["a key in two cases", '{"Image":"busybox","IMAGE":"other"}'],
    ["a key in two cases by folding", '{"HostConfig":{"Binds":[],"Bind\u017f":["/:/host"]}}'],
    ["a lone surrogate for a key's case", '{"Image":"busybox","\\u0049mage":"other"}'],
  ];
  for (const [name, body] of attacks) {
    it(`with ${name} is a 400`, async () => {
      const before = seenCreates();
      const answer = await create(body);
      assert.equal(answer.status, 400, answer.body);
      assert.equal(answer.headers["content-type"], "application/json");
      assert.equal(seenCreates(), before);
    });
  }
  it("reaches the service as the same object by every way in", async () => {
    const body = '{"image":"busybox","HostConfig":{"privileged":true},"Labels":{"a":"b"}}';
    const requests: unknown[] = [];
    const last = () =>
      stack.containers.seen.findLast(({ method }) => method === "createContainer")?.request as {
        config: { image: string; labels: object };
        hostConfig: { privileged: boolean };
      };
    await create(body);
    requests.push(last());
    const client = await RawClient.connect(stack.socket);
    client.socket.write(`${createHead}Transfer-Encoding: chunked\r\n\r\n`);
    for (const char of body) client.socket.write(`1\r\n${char}\r\n`);
    client.socket.write("0\r\n\r\n");
    await client.until((text) => text.includes("201 Created"));
    client.socket.destroy();
    requests.push(last());
    assert.deepEqual(requests[0], requests[1]);
    assert.equal(last().config.image, "busybox");
    assert.equal(last().hostConfig.privileged, true);
  });
});

describe("headers", () => {
  it("that are too long are a 431", async () => {
    assert.match(
      await send(`GET /_ping HTTP/1.1\r\nHost: d\r\nX: ${"x".repeat(200_000)}\r\n\r\n`),
      /^HTTP\/1\.1 431 /,
    );
    assert.match(
      await send(`GET /_ping?${"x".repeat(200_000)} HTTP/1.1\r\nHost: d\r\n\r\n`),
      /^HTTP\/1\.1 431 /,
    );
  });
  it("without end are a 431 long before memory is felt", async () => {
    const client = await RawClient.connect(stack.socket);
    client.socket.write("GET /_ping HTTP/1.1\r\nHost: d\r\n");
    let sent = 0;
    while (client.text === "" && !client.ended && sent < 1_000_000) {
      sent++;
      if (!client.socket.write(`X-${String(sent)}: ${"y".repeat(500)}\r\n`)) await client.changed();
    }
    assert.match(client.text, /^HTTP\/1\.1 431 /);
    assert.ok(sent < 20_000);
  });
  it("hold a credential of 64 KiB", async () => {
    const auth = Buffer.from(JSON.stringify({ registrytoken: "t".repeat(64_000) })).toString(
      "base64url",
    );
    const answer = await ask(stack.socket, {
      method: "POST",
      path: "/images/create?fromImage=busybox&tag=1",
      headers: { "x-registry-auth": auth },
    });
    assert.equal(answer.status, 200);
  });
});

describe("connections", () => {
  it("beyond the limit are closed, and there is room again when others leave", async () => {
    const idle = await Promise.all(
      Array.from({ length: 40 }, () => RawClient.connect(stack.socket)),
    );
    await eventually(async () => {
      const extra = await RawClient.connect(stack.socket);
      extra.socket.write("GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n");
      while (!extra.ended && !extra.text.includes("OK")) await extra.changed();
      const { text } = extra;
      extra.socket.destroy();
      return text === "";
    });
    for (const client of idle) client.socket.destroy();
    await eventually(async () => (await ask(stack.socket, "/_ping")).status === 200);
  });
  it("that are cut anywhere leave nothing behind", async () => {
    const pieces = [
      "G",
      "GET /_ping HT",
      "PRI * HTTP/2.0\r\n",
      `${createHead}Content-Length: 1000\r\n\r\n{`,
      "POST /images/load HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
      "POST /exec/none/start HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{",
    ];
    for (let round = 0; round < 10; round++) {
      await Promise.all(
        pieces.map(async (piece) => {
          const socket = net.connect(stack.socket);
          await once(socket, "connect");
          await new Promise((resolve) => socket.write(piece, resolve));
          socket.destroy();
        }),
      );
    }
    // All of their places in the budget of 40 are free again.
    await eventually(async () => {
      const answers = await Promise.all(
        Array.from({ length: 39 }, () => ask(stack.socket, "/_ping")),
      );
      return answers.every(({ status }) => status === 200);
    });
  });
  it("that pipeline are answered in order", async () => {
    const client = await RawClient.connect(stack.socket);
    client.socket.write(
      "GET /_ping HTTP/1.1\r\nHost: d\r\n\r\nGET /containers/none/json HTTP/1.1\r\nHost: d\r\n\r\nGET /version HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n",
    );
    const text = await client.untilEnd();
    const order = ["\r\n\r\nOK", "No such container: none", '"Platform"'].map((word) =>
      text.indexOf(word),
    );
    assert.deepEqual(
      [...order].sort((a, b) => a - b),
      order,
    );
    assert.ok(!order.includes(-1));
  });
});
