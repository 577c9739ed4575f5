/** Bodies of requests that the addon takes from one socket to another. */
import assert from "node:assert/strict";
import { randomBytes, randomInt } from "node:crypto";
import { once } from "node:events";
import { Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { type BodyOutcome, loadKernel, type Watch } from "../lib/index.ts";

const kernel = loadKernel();

/** Both ends of a relayed connection. */
interface Relayed {
  /** The client's end, and the service's. */
  readonly client: Socket;
  readonly service: Socket;
  readonly watch: Watch;
  readonly outcome: Promise<BodyOutcome>;
  /** The descriptor that is read from. */
  readonly from: number;
}

/** Begins a relay. @param length -1: chunks. */
function begin(t: TestContext, length: number, start: Uint8Array = Buffer.alloc(0)): Relayed {
  const [clientFd, from] = kernel.socketpair();
  const [to, serviceFd] = kernel.socketpair();
  const client = new Socket({ fd: clientFd, allowHalfOpen: true });
  const service = new Socket({ fd: serviceFd, allowHalfOpen: true });
  client.on("error", () => undefined);
  const ended = Promise.withResolvers<BodyOutcome>();
  const watch = kernel.relayBody(from, to, start, length, (outcome) => {
    kernel.closeFd(to);
    ended.resolve(outcome);
  });
  t.after(() => {
    watch.close();
    kernel.closeFd(from);
    client.destroy();
    service.destroy();
  });
  return { client, service, watch, outcome: ended.promise, from };
}

async function all(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}

/** A body in chunks of those sizes, whatever is legal around them. */
function chunked(body: Buffer, sizes: () => number): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < body.length; ) {
    const piece = body.subarray(at, at + Math.max(1, sizes()));
    at += piece.length;
    const size = piece.length.toString(16);
    const spelled = [size, size.toUpperCase(), `000${size}`, `${size};name="v"`][randomInt(4)];
    parts.push(Buffer.from(`${spelled ?? size}\r\n`), piece, Buffer.from("\r\n"));
  }
  parts.push(Buffer.from(["0\r\n\r\n", "0\r\nDigest: x\r\nOther: y\r\n\r\n"][randomInt(2)] ?? ""));
  return Buffer.concat(parts);
}

/** Writes bytes in pieces of any size, each when the one before is gone. */
async function dribble(client: Socket, bytes: Buffer, most: number): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const piece = bytes.subarray(at, at + randomInt(1, most));
    at += piece.length;
    await new Promise((resolve) => client.write(piece, resolve));
  }
}

describe("a relayed body", () => {
  const sizes: readonly (readonly [string, () => number, number])[] = [
    ["of a byte each", () => 1, 20_000],
    ["of any size", () => randomInt(1, 5000), 300_000],
    ["that are large", () => randomInt(100_000, 900_000), 5_000_000],
  ];
  for (const [what, size, length] of sizes) {
    it(`in chunks ${what} arrives whole, whatever the pieces that it is read in`, async (t) => {
      for (const most of [7, 1000, 400_000]) {
        if (length / most > 50_000) continue;
        const body = randomBytes(length);
        const wire = chunked(body, size);
        const early = randomInt(0, Math.min(wire.length, 60_000));
        const { client, service, outcome } = begin(t, -1, wire.subarray(0, early));
        const received = all(service);
        await dribble(client, wire.subarray(early), most);
        assert.equal(await outcome, "whole");
        assert.ok((await received).equals(body));
      }
    });
  }

  it("of a known length ends there", async (t) => {
    const body = randomBytes(700_000);
    const { client, service, outcome } = begin(t, body.length, body.subarray(0, 10));
    const received = all(service);
    client.write(body.subarray(10));
    assert.equal(await outcome, "whole");
    assert.ok((await received).equals(body));
  });

  it("in very many small chunks arrives though nothing comes behind them", async (t) => {
    const body = randomBytes(20_000);
    const wire = chunked(body, () => 1);
    const { client, service, outcome } = begin(t, -1);
    const received = all(service);
    // All of it is there before the first is read.
    client.write(wire.subarray(0, 60_000));
    await new Promise((resolve) => client.write(wire.subarray(60_000), resolve));
    assert.equal(await outcome, "whole");
    assert.ok((await received).equals(body));
  });

  it("waits for a receiver that is slow, without taking more than the sockets hold", async (t) => {
    const body = randomBytes(8_000_000);
    const { client, service, outcome } = begin(t, body.length);
    service.pause();
    let isSent = false;
    client.write(body, () => {
      isSent = true;
    });
    for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(isSent, false);
    assert.ok((await all(service)).equals(body));
    assert.equal(await outcome, "whole");
  });

  it("that breaks off is cut, in the middle of anything", async (t) => {
    const wire = Buffer.from("5\r\nhello\r\n0\r\nTrailer: x\r\n\r\n");
    for (let length = 0; length < wire.length; length++) {
      const { client, service, outcome } = begin(t, -1, wire.subarray(0, Math.min(2, length)));
      service.resume();
      client.end(wire.subarray(Math.min(2, length), length));
      assert.equal(await outcome, "cut", `after ${String(length)} bytes`);
    }
  });

  const malformed = [
    ["no size", "\r\nx"],
    ["a size that is no number", "xyz\r\n"],
    ["a negative size", "-1\r\n"],
    ["a size with a prefix", "0x5\r\nhello\r\n"],
    ["a size that is too large", `${"f".repeat(16)}\r\n`],
    ["a size that ends in a line feed alone", "5\nhello\r\n"],
    ["a size with a carriage return in it", "5\r\r\nhello"],
    ["an extension with a line feed in it", "5;a\nb\r\nhello"],
    ["an extension without end", `5;${"a".repeat(20_000)}`],
    ["more data than announced", "5\r\nhello!\r\n"],
    ["data that ends in a line feed alone", "5\r\nhello\n0\r\n\r\n"],
    ["a trailer that ends in a line feed alone", "0\r\nA: b\n\r\n"],
    ["trailers without end", `0\r\n${"A: b\r\n".repeat(20_000)}`],
    ["no line feed at the end", "0\r\n\rx"],
  ] as const;
  for (const [what, wire] of malformed) {
    it(`is malformed with ${what}`, async (t) => {
      const { client, service, outcome } = begin(t, -1);
      service.resume();
      client.write(wire);
      assert.equal(await outcome, "malformed");
    });
  }

  it("that nobody takes any more is refused", async (t) => {
    const { client, service, outcome } = begin(t, 1_000_000_000);
    service.destroy();
    client.write(randomBytes(10_000));
    assert.equal(await outcome, "refused");
  });

  it("goes no further when it is closed, and says nothing then", async (t) => {
    const { client, service, watch, outcome } = begin(t, 100);
    client.write("ten bytes.");
    assert.equal(String((await once(service, "data"))[0]), "ten bytes.");
    watch.close();
    watch.close();
    let wasTold = false;
    void outcome.then(() => {
      wasTold = true;
    });
    await new Promise((resolve) => client.write("more", resolve));
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(service.read(), null);
    assert.equal(wasTold, false);
  });
});
