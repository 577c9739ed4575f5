import assert from "node:assert/strict";
import { chmodSync, existsSync, rmSync, statSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import { describe, it } from "node:test";
import { openTempDir } from "@gantry/fs";
import { silentLogger } from "@gantry/logging";
import { Health, HealthCheckResponse_ServingStatus as Status } from "@gantry/proto/grpc-health";
import { v1, v1alpha } from "@gantry/proto/grpc-reflection";
import { start, untilAborted } from "./echo-fixture.ts";
import { implementEcho } from "./echo-service.ts";
import { serveGrpc } from "./index.ts";
import { ttrpcSocketOf } from "./ttrpc/frames.ts";

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
