import assert from "node:assert/strict";
import { once } from "node:events";
import { chmodSync, existsSync, rmSync, statSync } from "node:fs";
import http2 from "node:http2";
import net from "node:net";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import { setImmediate } from "node:timers/promises";
import { conflict, EngineError, kindNames, notModified } from "@gantry/errors";
import { openTempDir } from "@gantry/fs";
import { silentLogger } from "@gantry/logging";
import { Health, HealthCheckResponse_ServingStatus as Status } from "@gantry/proto/grpc-health";
import { v1, v1alpha } from "@gantry/proto/grpc-reflection";
import {
  type EchoClient,
  type EchoHandlers,
  echoClient,
  implementEcho,
  type Text,
} from "./echo-service.ts";
import { type Channel, type GrpcServer, openChannel, serveGrpc } from "./index.ts";
import { ttrpcSocketOf } from "./ttrpc/frames.ts";

interface Fixture {
  readonly server: GrpcServer;
  readonly channel: Channel;
  readonly echo: EchoClient;
  readonly socketPath: string;
}

async function start(
  t: TestContext,
  handlers: EchoHandlers = {},
  { ttrpc = false } = {},
): Promise<Fixture> {
  const dir = await openTempDir("gantry-rpc-");
  const socketPath = path.join(dir.path, "echo-service.sock");
  const services = [implementEcho(handlers)];
  const server = await serveGrpc({
    socketPath,
    services,
    logger: silentLogger(),
  });
  const channel = openChannel(socketPath, { ttrpc });
  await channel.ready(20_000);
  t.after(async () => {
    channel.close();
    await server.close(0);
    await dir.close();
  });
  return { server, channel, echo: echoClient(channel), socketPath };
}

async function* texts(...values: string[]): AsyncGenerator<Text> {
  for (const value of values) yield await Promise.resolve({ value });
}

async function collect(stream: AsyncIterable<Text>): Promise<string[]> {
  const all: string[] = [];
  for await (const { value } of stream) all.push(value);
  return all;
}

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

/** A promise that stays open until the signal aborts. */
function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => {
      resolve();
    });
  });
}

for (const [name, options] of [
  ["gRPC", { ttrpc: false }],
  ["ttrpc", { ttrpc: true }],
] as const) {
  describe(`calls over ${name}`, () => {
    it("carry requests and answers of all four kinds", async (t) => {
      const { echo } = await start(
        t,
        {
          unary: (request) => Promise.resolve({ value: `${request.value}!` }),
          repeat: ({ value }) => texts(value, value),
          join: async (requests) => ({
            value: (await collect(requests)).join("+"),
          }),
          async *chat(requests) {
            for await (const { value } of requests) yield { value: value.toUpperCase() };
          },
        },
        options,
      );
      assert.equal((await echo.unary({ value: "a" })).value, "a!");
      assert.deepEqual(await collect(echo.repeat({ value: "b" })), ["b", "b"]);
      assert.equal((await echo.join(texts("x", "y"))).value, "x+y");
      assert.deepEqual(await collect(echo.chat(texts("p", "q"))), ["P", "Q"]);
    });

    it("answer not_implemented where there is no handler", async (t) => {
      const { echo } = await start(t, {}, options);
      await assert.rejects(echo.unary({ value: "" }), {
        kind: "not_implemented",
      });
      await assert.rejects(collect(echo.repeat({ value: "" })), {
        kind: "not_implemented",
      });
    });

    it("keep kind, message and details of every error across the wire", async (t) => {
      const { echo } = await start(
        t,
        {
          unary: ({ value }) => {
            const kind = kindNames().find((each) => each === value) ?? "internal";
            const details = {
              resourceType: "container",
              resourceId: "c1",
              exitCode: 127,
            };
            throw new EngineError(kind, `it is ${value} — ünïcode`, { details });
          },
        },
        options,
      );
      for (const kind of kindNames()) {
        await assert.rejects(echo.unary({ value: kind }), {
          kind,
          message: `it is ${kind} — ünïcode`,
          details: { resourceType: "container", resourceId: "c1", exitCode: 127 },
        });
      }
    });

    it("tell not_modified from conflict, which share a code", async (t) => {
      const { echo } = await start(
        t,
        {
          unary: ({ value }) => Promise.reject(value === "a" ? notModified("x") : conflict("x")),
        },
        options,
      );
      await assert.rejects(echo.unary({ value: "a" }), { kind: "not_modified" });
      await assert.rejects(echo.unary({ value: "b" }), { kind: "conflict" });
    });

    it("call a foreign error internal and do not send its cause", async (t) => {
      const { echo } = await start(
        t,
        {
          unary: () => Promise.reject(new Error("outer", { cause: new Error("secret") })),
        },
        options,
      );
      await assert.rejects(echo.unary({ value: "" }), (error: EngineError) => {
        assert.equal(error.kind, "internal");
        assert.equal(error.message, "outer");
        return true;
      });
    });

    it("pass on an error in the middle of a stream, after what came before", async (t) => {
      const { echo } = await start(
        t,
        {
          async *repeat() {
            yield* texts("one");
            throw conflict("then broken");
          },
        },
        options,
      );
      const seen: string[] = [];
      await assert.rejects(
        async () => {
          for await (const { value } of echo.repeat({ value: "" })) seen.push(value);
        },
        { kind: "conflict" },
      );
      assert.deepEqual(seen, ["one"]);
    });

    it("refuse a message over the limit", async (t) => {
      const { echo } = await start(
        t,
        {
          unary: (request) => Promise.resolve(request),
        },
        options,
      );
      await assert.rejects(echo.unary({ value: "x".repeat(17 * 1024 * 1024) }), {
        kind: "resource_exhausted",
      });
    });
  });

  describe(`cancellation over ${name}`, () => {
    it("aborts the handler's signal when the caller's signal aborts", async (t) => {
      const started = Promise.withResolvers<undefined>();
      const stopped = Promise.withResolvers<undefined>();
      const { echo } = await start(
        t,
        {
          async unary(request, { signal }) {
            started.resolve(undefined);
            await untilAborted(signal);
            stopped.resolve(undefined);
            return request;
          },
        },
        options,
      );
      const controller = new AbortController();
      const call = echo.unary({ value: "" }, { signal: controller.signal });
      await started.promise;
      controller.abort();
      await assert.rejects(call, { kind: "canceled" });
      await stopped.promise;
    });

    it("does not start a call whose signal is aborted already", async (t) => {
      const { echo } = await start(t, { unary: () => assert.fail("was called") }, options);
      const signal = AbortSignal.abort();
      await assert.rejects(echo.unary({ value: "" }, { signal }), {
        kind: "canceled",
      });
      await assert.rejects(collect(echo.repeat({ value: "" }, { signal })), {
        kind: "canceled",
      });
    });

    it("fails with deadline_exceeded when time runs out, and tells the handler", async (t) => {
      const stopped = Promise.withResolvers<undefined>();
      const { echo } = await start(
        t,
        {
          async unary(request, { signal }) {
            await untilAborted(signal);
            stopped.resolve(undefined);
            return request;
          },
        },
        options,
      );
      // Intentionally short.
      await assert.rejects(echo.unary({ value: "" }, { timeoutMs: 30 }), {
        kind: "deadline_exceeded",
      });
      await stopped.promise;
    });

    it("ends the handler's generator when the caller leaves the loop", async (t) => {
      const ended = Promise.withResolvers<undefined>();
      const { echo } = await start(
        t,
        {
          async *repeat() {
            try {
              for (;;) yield* texts("x");
            } finally {
              ended.resolve(undefined);
            }
          },
        },
        options,
      );
      for await (const { value } of echo.repeat({ value: "" })) {
        assert.equal(value, "x");
        break;
      }
      await ended.promise;
    });

    it("lets go of a generator that never yields", async (t) => {
      const { echo } = await start(
        t,
        {
          // biome-ignore lint: waits for ever on purpose
          async *repeat(_, { signal }) {
            await untilAborted(signal);
          },
        },
        options,
      );
      const controller = new AbortController();
      const reading = collect(echo.repeat({ value: "" }, { signal: controller.signal }));
      controller.abort();
      await assert.rejects(reading, { kind: "canceled" });
    });
  });
}

describe("back-pressure", () => {
  it("stops a producer that nobody reads", async (t) => {
    let produced = 0;
    const chunk = "x".repeat(64 * 1024);
    const { echo } = await start(t, {
      async *repeat() {
        for (; produced < 5000; produced++) yield* texts(chunk);
      },
    });
    const iterator = echo.repeat({ value: "" })[Symbol.asyncIterator]();
    await iterator.next();
    // The producer has gone as far as the windows let it once other calls are answered in between.
    for (let i = 0; i < 200; i++) await echo.unary({ value: "" }).catch(() => undefined);
    assert.ok(produced < 1000, `produced ${String(produced)} chunks of 64 KiB without a reader`);
    await iterator.return?.();
  });
});

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

describe("the server", () => {
  it("listens with the asked mode and removes its socket at close", async (t) => {
    const { server, socketPath } = await start(t);
    assert.equal(statSync(socketPath).mode & 0o777, 0o660);
    await server.close();
    assert.equal(existsSync(socketPath), false);
  });

  it("cuts calls that are still running when its grace is over", async (t) => {
    const aborted = Promise.withResolvers<undefined>();
    const { server, echo } = await start(t, {
      async *repeat(_request, { signal }) {
        yield { value: "begun" };
        await untilAborted(signal);
        aborted.resolve(undefined);
      },
    });
    const answers = echo.repeat({ value: "" })[Symbol.asyncIterator]();
    await answers.next();
    const cut = assert.rejects(answers.next(), { kind: "unavailable" });
    await server.close(0);
    await cut;
    await aborted.promise;
  });

  it("replaces a stale socket and refuses a living one", async (t) => {
    const { socketPath } = await start(t);
    const again = () =>
      serveGrpc({
        socketPath,
        services: [implementEcho({})],
        logger: silentLogger(),
      });
    await assert.rejects(again(), { kind: "conflict" });
    const dir = await openTempDir("gantry-rpc-");
    t.after(() => dir.close());
    const stale = path.join(dir.path, "s.sock");
    // A socket file whose owner is gone: bound, renamed away from its owner's clean-up.
    const owner = net.createServer().listen(`${stale}.first`);
    await new Promise((resolve) => owner.once("listening", resolve));
    chmodSync(`${stale}.first`, 0o600);
    const { renameSync } = await import("node:fs");
    renameSync(`${stale}.first`, stale);
    await new Promise((resolve) => owner.close(resolve));
    assert.ok(existsSync(stale));
    await using server = await serveGrpc({
      socketPath: stale,
      services: [],
      logger: silentLogger(),
    });
    assert.equal(server.socketPath, stale);
  });

  it("does not remove the socket of its successor", async (t) => {
    const { server, socketPath } = await start(t);
    for (const file of [socketPath, ttrpcSocketOf(socketPath)]) rmSync(file);
    await using _successor = await serveGrpc({
      socketPath,
      services: [],
      logger: silentLogger(),
    });
    await server.close(0);
    for (const file of [socketPath, ttrpcSocketOf(socketPath)]) assert.ok(existsSync(file));
  });

  it("answers health checks and watches, for itself and by service", async (t) => {
    const { server, channel } = await start(t);
    const health = channel.client(Health);
    const check = async (service: string) => (await health.check({ service })).status;
    assert.equal(await check(""), Status.SERVING);
    assert.equal(await check("test.v1.EchoService"), Status.SERVING);
    await assert.rejects(health.check({ service: "nobody" }), {
      kind: "not_found",
    });
    const states: Status[] = [];
    for await (const { status } of health.watch({ service: "" })) {
      states.push(status);
      if (states.length === 1) server.setServing(false);
      else break;
    }
    assert.deepEqual(states, [Status.SERVING, Status.NOT_SERVING]);
    assert.equal(await check("test.v1.EchoService"), Status.NOT_SERVING);
  });

  for (const { ServerReflection } of [v1, v1alpha]) {
    it(`lists services and files by ${ServerReflection.typeName}`, async (t) => {
      const { channel } = await start(t);
      const reflection = channel.client(ServerReflection as typeof v1.ServerReflection);
      async function ask(
        messageRequest: v1.ServerReflectionRequest["messageRequest"],
      ): Promise<v1.ServerReflectionResponse["messageResponse"]> {
        const one = async function* () {
          yield await Promise.resolve({ messageRequest });
        };
        for await (const { messageResponse } of reflection.serverReflectionInfo(one())) {
          return messageResponse;
        }
        return assert.fail("no answer");
      }
      const list = await ask({ case: "listServices", value: "" });
      assert.ok(list.case === "listServicesResponse");
      const names = list.value.service.map(({ name }) => name);
      assert.ok(names.includes("test.v1.EchoService") && names.includes("grpc.health.v1.Health"));
      for (const symbol of ["test.v1.EchoService", "test.v1.EchoService.Unary"]) {
        const file = await ask({ case: "fileContainingSymbol", value: symbol });
        assert.ok(file.case === "fileDescriptorResponse");
        // The file and the one it imports.
        assert.equal(file.value.fileDescriptorProto.length, 2);
      }
      const unknown = await ask({
        case: "fileContainingSymbol",
        value: "no.such.Thing",
      });
      assert.ok(unknown.case === "errorResponse");
      assert.equal(unknown.value.errorCode, 5);
    });
  }
});
