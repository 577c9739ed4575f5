/** Hostile HTTP/2 and gRPC (class S23): the attacker's connection ends, everybody else's goes on. */
import assert from "node:assert/strict";
import http2 from "node:http2";
import net from "node:net";
import { after, afterEach, before, describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import { Health } from "@gantry/proto/grpc-health";
import { type Channel, openChannel } from "@gantry/rpc";
import { RawClient } from "./fakes/http.ts";
import { openStack, type Stack } from "./fakes/stack.ts";

let stack: Stack;
let bystander: Channel;
before(async () => {
  stack = await openStack();
  bystander = openChannel(stack.socket);
  await bystander.ready(5000);
});
after(async () => {
  bystander.close();
  await stack[Symbol.asyncDispose]();
});
afterEach(async () => {
  const answer = await bystander.client(Health).check({ service: "" }, { timeoutMs: 5000 });
  assert.equal(answer.status, 1, "a bystander was hurt");
});

const type = {
  data: 0,
  headers: 1,
  reset: 3,
  settings: 4,
  ping: 6,
  windowUpdate: 8,
  continuation: 9,
};

function h2frame(
  kind: number,
  flags: number,
  stream: number,
  payload: Buffer = Buffer.alloc(0),
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = kind;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A literal header field without indexing. */
function literal(name: string, value: string): Buffer {
  const text = (each: string): Buffer => {
    assert.ok(each.length < 127);
    return Buffer.concat([Buffer.from([each.length]), Buffer.from(each)]);
  };
  return Buffer.concat([Buffer.from([0]), text(name), text(value)]);
}

const requestHeaders = Buffer.concat([
  literal(":method", "POST"),
  literal(":scheme", "http"),
  literal(":path", "/grpc.health.v1.Health/Watch"),
  literal(":authority", "d"),
  literal("content-type", "application/grpc"),
  literal("te", "trailers"),
]);

async function attacker(): Promise<RawClient> {
  const client = await RawClient.connect(stack.socket);
  client.socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  client.socket.write(h2frame(type.settings, 0, 0));
  return client;
}

/** Writes until the server has had enough; the number of writes it took. */
async function flood(
  client: RawClient,
  limit: number,
  next: (i: number) => Buffer,
): Promise<number> {
  let count = 0;
  while (count < limit && !client.ended) {
    if (!client.socket.write(next(count++))) await client.changed();
    if (count % 64 === 0) await new Promise(setImmediate);
  }
  return count;
}

const noServerMemory = async (attack: () => Promise<unknown>): Promise<void> => {
  const before = process.memoryUsage();
  await attack();
  const grown = process.memoryUsage().rss - before.rss;
  assert.ok(grown < 256 * 1024 * 1024, `grew by ${String(grown)}`);
};

describe("HTTP/2", { timeout: 60_000 }, () => {
  it("rapid reset ends the session", async () => {
    const client = await attacker();
    const sent = await flood(client, 50_000, (i) => {
      const stream = i * 2 + 1;
      return Buffer.concat([
        h2frame(type.headers, 5, stream, requestHeaders),
        h2frame(type.reset, 0, stream, Buffer.alloc(4, 8)),
      ]);
    });
    assert.ok(sent < 5_000, `took ${String(sent)} resets`);
    client.socket.destroy();
  });

  it("a flood of SETTINGS whose answers are not read ends the session", async () => {
    await noServerMemory(async () => {
      const client = await attacker();
      client.socket.pause();
      const many = Buffer.concat(Array.from({ length: 100 }, () => h2frame(type.settings, 0, 0)));
      const sent = await flood(client, 20_000, () => many);
      assert.ok(sent < 2_000, `took ${String(sent * 100)} frames`);
    });
  });

  it("a flood of PING whose answers are not read ends the session", async () => {
    await noServerMemory(async () => {
      const client = await attacker();
      client.socket.pause();
      const many = Buffer.concat(
        Array.from({ length: 100 }, () => h2frame(type.ping, 0, 0, Buffer.alloc(8))),
      );
      const sent = await flood(client, 20_000, () => many);
      assert.ok(sent < 2_000, `took ${String(sent * 100)} frames`);
    });
  });

  it("a header block without end ends the session", async () => {
    await noServerMemory(async () => {
      const client = await attacker();
      client.socket.write(h2frame(type.headers, 0, 1, requestHeaders));
      const field = Buffer.concat(
        Array.from({ length: 100 }, (_, i) => literal(`x-${String(i)}`, "y".repeat(100))),
      );
      const sent = await flood(client, 100_000, () => h2frame(type.continuation, 0, 1, field));
      assert.ok(sent < 10_000, String(sent));
    });
  });

  it("a small block that unpacks to much (HPACK) is refused", async () => {
    const client = await attacker();
    // One entry of 4000 bytes in the table, then references to it.
    const value = "z".repeat(4000 - 38);
    const length = Buffer.from([
      0x7f,
      0x80 + ((value.length - 127) % 128),
      Math.floor((value.length - 127) / 128),
    ]);
    const entry = Buffer.concat([
      Buffer.from([0x40, 1]),
      Buffer.from("b"),
      length,
      Buffer.from(value),
    ]);
    const block = Buffer.concat([requestHeaders, entry, Buffer.alloc(12_000, 0x80 + 62)]);
    client.socket.write(h2frame(type.headers, 5, 1, block));
    await client.until(() => hasFrame(client.received, type.reset) || hasFrame(client.received, 7));
    client.socket.destroy();
  });

  it("changes of the header table's size in one block after another cost nothing", async () => {
    await noServerMemory(async () => {
      const client = await attacker();
      const resize = Buffer.concat([Buffer.from([0x20]), Buffer.from([0x3f, 0xe1, 0x1f])]);
      await flood(client, 300, (i) => {
        const stream = i * 2 + 1;
        return Buffer.concat([
          h2frame(type.headers, 5, stream, Buffer.concat([resize, requestHeaders])),
          h2frame(type.reset, 0, stream, Buffer.alloc(4, 8)),
        ]);
      });
      client.socket.destroy();
    });
  });

  it("more streams than allowed are refused, not queued", async () => {
    const client = await attacker();
    for (let i = 0; i < 600; i++)
      client.socket.write(h2frame(type.headers, 4, i * 2 + 1, requestHeaders));
    await client.until(() => hasFrame(client.received, type.reset) || hasFrame(client.received, 7));
    client.socket.destroy();
  });

  it("garbage after the preface ends the connection", async () => {
    const client = await RawClient.connect(stack.socket);
    client.socket.write(`PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${"garbage".repeat(1000)}`);
    await client.untilEnd();
  });

  it("a window that overflows is an error of its stream or session", async () => {
    const client = await attacker();
    const huge = Buffer.alloc(4);
    huge.writeUInt32BE(0x7fffffff);
    client.socket.write(h2frame(type.windowUpdate, 0, 0, huge));
    client.socket.write(h2frame(type.windowUpdate, 0, 0, huge));
    await client.untilEnd();
  });
});

describe("gRPC", () => {
  const call = (payload: Buffer, headers: Record<string, string> = {}): Promise<string> =>
    unaryStatus(payload, headers);

  it("a message that unpacks to more than the limit is refused", async () => {
    await noServerMemory(async () => {
      const bomb = gzipSync(Buffer.alloc(200 * 1024 * 1024));
      assert.equal(await call(envelope(bomb, 1), { "grpc-encoding": "gzip" }), "8");
    });
  });

  it("a message longer than the limit is refused by its announced length", async () => {
    const head = Buffer.alloc(5);
    head.writeUInt32BE(0xffffffff, 1);
    assert.equal(await call(Buffer.concat([head, Buffer.alloc(1000)])), "8");
  });

  it("bytes that are no message are an invalid argument or internal error", async () => {
    assert.match(await call(envelope(Buffer.alloc(100, 0xff), 0)), /^(3|13)$/);
  });
});

function envelope(payload: Buffer, flags: number): Buffer {
  const head = Buffer.alloc(5);
  head[0] = flags;
  head.writeUInt32BE(payload.length, 1);
  return Buffer.concat([head, payload]);
}

/** Sends a call by Node's own client and returns grpc-status. */
async function unaryStatus(payload: Buffer, headers: Record<string, string>): Promise<string> {
  const session = http2.connect("http://d", { createConnection: () => net.connect(stack.socket) });
  session.on("error", () => undefined);
  const stream = session.request({
    ":method": "POST",
    ":path": "/grpc.health.v1.Health/Check",
    "content-type": "application/grpc",
    te: "trailers",
    ...headers,
  });
  stream.on("error", () => undefined);
  const status = Promise.withResolvers<string>();
  const look = (found: http2.IncomingHttpHeaders): void => {
    if (found["grpc-status"] !== undefined) status.resolve(String(found["grpc-status"]));
  };
  stream.on("response", look);
  stream.on("trailers", look);
  stream.resume();
  stream.end(payload);
  try {
    return await status.promise;
  } finally {
    session.destroy();
  }
}

/** Whether a frame of this kind has come. */
function hasFrame(bytes: Buffer, kind: number): boolean {
  for (let at = 0; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3))
    if (bytes[at + 3] === kind) return true;
  return false;
}
