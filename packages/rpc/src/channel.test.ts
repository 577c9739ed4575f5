import assert from "node:assert/strict";
import { once } from "node:events";
import http2 from "node:http2";
import net from "node:net";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import { setImmediate } from "node:timers/promises";
import { openTempDir } from "@gantry/fs";
import { silentLogger } from "@gantry/logging";
import { start } from "./echo-fixture.ts";
import { type EchoHandlers, echoClient, implementEcho } from "./echo-service.ts";
import { openChannel, serveGrpc } from "./index.ts";

/** Listens, and counts who calls. `one` is a call of ours that has got there. */
async function countCalls(
  t: TestContext,
  socketPath: string,
): Promise<{ one(): Promise<void>; count(): number }> {
  let count = 0;
  const server = net.createServer((socket) => {
    count++;
    socket.on("error", () => undefined).end("x");
  });
  await once(server.listen(socketPath), "listening");
  t.after(() => server.close());
  return {
    async one() {
      const socket = net.connect(socketPath);
      await once(socket, "data");
      socket.destroy();
    },
    count: () => count,
  };
}

describe("the channel", () => {
  it("says unavailable, with the peer's name, when a call is cut off without a status", async (t) => {
    const dir = await openTempDir("gantry-rpc-");
    const socketPath = path.join(dir.path, "image-service.sock");
    const server = http2.createServer();
    server.on("stream", (stream: http2.ServerHttp2Stream) => {
      stream.respond({ ":status": 200, "content-type": "application/grpc" });
      stream.close(http2.constants.NGHTTP2_NO_ERROR);
    });
    await new Promise<void>((resolve) => server.listen(socketPath, resolve));
    const channel = openChannel(socketPath);
    t.after(async () => {
      channel.close();
      server.close();
      await dir.close();
    });
    await assert.rejects(echoClient(channel).unary({ value: "" }), {
      kind: "unavailable",
      message: "image-service is not available",
    });
  });

  it("says unavailable, with the peer's name, while nobody listens", async (t) => {
    const dir = await openTempDir("gantry-rpc-");
    const channel = openChannel(path.join(dir.path, "image-service.sock"));
    t.after(async () => {
      channel.close();
      await dir.close();
    });
    await assert.rejects(echoClient(channel).unary({ value: "" }), {
      kind: "unavailable",
      message: "image-service is not available",
    });
    // Intentionally short.
    await assert.rejects(channel.ready(50), { kind: "unavailable" });
  });

  it("finds a peer again after its restart", async (t) => {
    const handlers: EchoHandlers = {
      unary: (request) => Promise.resolve(request),
    };
    const { server, channel, echo, socketPath } = await start(t, handlers);
    await echo.unary({ value: "a" });
    await server.close(0);
    await assert.rejects(echo.unary({ value: "b" }), { kind: "unavailable" });
    const services = [implementEcho(handlers)];
    await using _again = await serveGrpc({
      socketPath,
      services,
      logger: silentLogger(),
    });
    await channel.ready(20_000);
    assert.equal((await echo.unary({ value: "c" })).value, "c");
  });

  it("waits for a peer that is being restarted, longer than for one that is not there", async (t) => {
    const handlers: EchoHandlers = { unary: (request) => Promise.resolve(request) };
    const { server, socketPath } = await start(t, handlers);
    using channel = openChannel(socketPath, { patienceMs: 1, restartMs: 60_000 });
    const echo = echoClient(channel);
    await echo.unary({ value: "a" });
    await server.close(0);
    while (channel.isReady) await setImmediate();
    // With no more than its patience this call fails before a successor can listen.
    using impatient = openChannel(socketPath, { patienceMs: 1 });
    const waiting = echo.unary({ value: "b" });
    await assert.rejects(echoClient(impatient).unary({ value: "b" }), { kind: "unavailable" });
    await using _again = await serveGrpc({
      socketPath,
      services: [implementEcho(handlers)],
      logger: silentLogger(),
    });
    assert.equal((await waiting).value, "b");
  });

  it("leaves a peer alone that runs on demand, before the first call and when it has ended", async (t) => {
    const { server, socketPath } = await start(t, {
      unary: (request) => Promise.resolve(request),
    });
    using channel = openChannel(socketPath, { onDemand: true });
    assert.equal(channel.isReady, false);
    assert.equal((await echoClient(channel).unary({ value: "a" })).value, "a");
    assert.equal(channel.isReady, true);
    await server.close(0);
    const calls = await countCalls(t, socketPath);
    using quiet = openChannel(socketPath, { onDemand: true });
    assert.equal(quiet.isReady, false);
    assert.equal(channel.isReady, false);
    // An attempt that these had begun would have got there before the last of ours.
    await calls.one();
    await calls.one();
    assert.equal(calls.count(), 2);
  });
});
