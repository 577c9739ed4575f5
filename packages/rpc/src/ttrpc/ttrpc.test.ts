import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, statSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import { setImmediate } from "node:timers/promises";
import { silentLogger } from "@gantry/logging";
import { type EchoFixture, start as startEcho } from "../echo-fixture.ts";
import { type EchoHandlers, implementEcho } from "../echo-service.ts";
import { serveGrpc } from "../index.ts";
import { encodeFrame, encodeRequest, FrameReader, frameType, ttrpcSocketOf } from "./frames.ts";

const service = implementEcho({}).service.typeName;

const start = (t: TestContext, handlers: EchoHandlers = {}): Promise<EchoFixture> =>
  startEcho(t, handlers, { ttrpc: true });

async function connect(t: TestContext, socketPath: string): Promise<net.Socket> {
  const socket = net.connect(ttrpcSocketOf(socketPath));
  t.after(() => socket.destroy());
  await once(socket, "connect");
  return socket;
}

describe("frames", () => {
  it("come out whole, however they are cut", () => {
    const bytes = Buffer.concat([
      encodeFrame(frameType.request, 1, Buffer.from("one")),
      encodeFrame(frameType.goAway, 0),
      encodeFrame(frameType.response, 3, Buffer.alloc(70_000, 7)),
    ]);
    for (const step of [1, 3, 10, 11, 4096, bytes.length]) {
      const reader = new FrameReader();
      const seen: string[] = [];
      for (let at = 0; at < bytes.length; at += step) {
        for (const { type, call, body } of reader.take(bytes.subarray(at, at + step))) {
          seen.push(`${String(type)} ${String(call)} ${String(body.length)}`);
        }
      }
      assert.deepEqual(seen, ["1 1 3", "17 0 0", "2 3 70000"]);
    }
  });
  it("are refused when they are too long, before they are there", () => {
    const header = Buffer.alloc(10);
    header.writeUInt32BE(0x7fff_ffff, 0);
    assert.throws(() => [...new FrameReader().take(header)], { kind: "internal" });
  });
});

describe("a server", () => {
  it("listens beside gRPC with the same mode, and takes its socket away", async (t) => {
    const { server, socketPath } = await start(t);
    const file = ttrpcSocketOf(socketPath);
    assert.equal(path.basename(file), "echo-service.ttrpc.sock");
    assert.equal(statSync(file).mode & 0o777, 0o660);
    await server.close();
    assert.equal(existsSync(file), false);
  });
  it("answers calls that run when it ends, and begins no more", async (t) => {
    const begun = Promise.withResolvers<undefined>();
    const go = Promise.withResolvers<undefined>();
    let calls = 0;
    const { server, echo, socketPath } = await start(t, {
      async unary({ value }) {
        calls += 1;
        begun.resolve(undefined);
        await go.promise;
        return { value };
      },
    });
    const running = echo.unary({ value: "a" });
    await begun.promise;
    const closing = server.close(20_000);
    while (existsSync(ttrpcSocketOf(socketPath))) await setImmediate();
    // Neither way takes it, and nobody waits for one that is there again.
    await assert.rejects(echo.unary({ value: "b" }), { kind: "unavailable" });
    go.resolve(undefined);
    assert.equal((await running).value, "a");
    await closing;
    assert.equal(calls, 1);
  });
  it("aborts the calls of a caller that is gone", async (t) => {
    const begun = Promise.withResolvers<undefined>();
    const aborted = Promise.withResolvers<undefined>();
    const { socketPath } = await start(t, {
      unary(request, { signal }) {
        begun.resolve(undefined);
        return new Promise((resolve) => {
          signal.addEventListener("abort", () => {
            aborted.resolve(undefined);
            resolve(request);
          });
        });
      },
    });
    const socket = await connect(t, socketPath);
    const request = encodeRequest({ service, method: "Unary", payload: new Uint8Array() });
    socket.write(encodeFrame(frameType.request, 1, request));
    await begun.promise;
    socket.destroy();
    await aborted.promise;
  });
  it("cuts a connection that speaks something else", async (t) => {
    const { socketPath, echo } = await start(t, { unary: (request) => Promise.resolve(request) });
    const socket = await connect(t, socketPath);
    socket.write("GET / HTTP/1.1\r\n\r\n");
    await once(socket, "close");
    const other = await connect(t, socketPath);
    other.write(encodeFrame(frameType.request, 1, Buffer.from([0xff, 0xff])));
    const [chunk] = (await once(other, "data")) as [Buffer];
    const [answer] = new FrameReader().take(chunk);
    assert.equal(answer?.type, frameType.response);
    assert.equal((await echo.unary({ value: "still" })).value, "still");
  });
});

describe("a channel", () => {
  it("takes gRPC while there is no connection", async (t) => {
    const { server, echo, channel, socketPath } = await start(t);
    await server.close(0);
    const services = [implementEcho({ unary: (request) => Promise.resolve(request) })];
    await using _again = await serveGrpc({ socketPath, services, logger: silentLogger() });
    // The wire is there again before the link has looked.
    await channel.ready(20_000);
    assert.equal((await echo.unary({ value: "c" })).value, "c");
  });
  it("says unavailable when the peer goes in the middle of a call", async (t) => {
    const begun = Promise.withResolvers<undefined>();
    const { server, echo } = await start(t, {
      async unary(request, { signal }) {
        begun.resolve(undefined);
        await once(signal, "abort");
        return request;
      },
    });
    const call = echo.unary({ value: "" });
    await begun.promise;
    const failed = assert.rejects(call, {
      kind: "unavailable",
      message: "echo-service is not available",
    });
    await server.close(0);
    await failed;
  });
});
