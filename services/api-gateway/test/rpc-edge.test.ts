/** gRPC, gRPC-Web and Connect on docker.sock. */
import assert from "node:assert/strict";
import { once } from "node:events";
import http2 from "node:http2";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { after, before, describe, it } from "node:test";
import { createClient, type Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { servicePaths } from "@gantry/config";
import { hasKind, isEngineError } from "@gantry/errors";
import { ContainerService } from "@gantry/proto/container";
import { EventService } from "@gantry/proto/event";
import { Health, HealthCheckResponse_ServingStatus as Status } from "@gantry/proto/grpc-health";
import { v1, v1alpha } from "@gantry/proto/grpc-reflection";
import { type Channel, openChannel } from "@gantry/rpc";
import { ask, RawClient } from "./fakes/http.ts";
import { openStack, type Stack } from "./fakes/stack.ts";

let stack: Stack;
let channel: Channel;
before(async () => {
  stack = await openStack();
  channel = openChannel(stack.socket);
});
after(async () => {
  channel.close();
  await stack[Symbol.asyncDispose]();
});

const connectJson = (
  method: string,
  body: object | string,
  path = "/gantry.container.v1.ContainerService",
) =>
  ask(stack.socket, {
    method: "POST",
    path: `${path}/${method}`,
    body: typeof body === "string" ? body : JSON.stringify(body),
  });

describe("gRPC over HTTP/2", () => {
  it("runs a container with streaming wait", async () => {
    const client = channel.client(ContainerService);
    const { id } = await client.createContainer({
      config: { image: "busybox", cmd: { values: ["exit", "9"] } },
    });
    const wait = client
      .waitContainer({ container: id, condition: "next-exit" })
      [Symbol.asyncIterator]();
    assert.equal((await wait.next()).value.done, false);
    await client.startContainer({ container: id });
    assert.equal((await wait.next()).value.exitCode, 9);
  });
  it("keeps kind, message and resource of an error", async () => {
    const refused = channel.client(ContainerService).inspectContainer({ container: "a: b%c é" });
    await assert.rejects(refused, (error) => {
      assert.ok(isEngineError(error));
      assert.equal(error.kind, "not_found");
      assert.equal(error.message, "No such container: a: b%c é");
      assert.deepEqual(error.details, { resourceType: "container", resourceId: "a: b%c é" });
      return true;
    });
    const { id } = await channel
      .client(ContainerService)
      .createContainer({ config: { image: "busybox" } });
    const stopped = channel.client(ContainerService).stopContainer({ container: id });
    await assert.rejects(stopped, (error) => hasKind(error, "not_modified"));
  });
  it("says unavailable when the service is down", async () => {
    await stack.images.stop();
    const { ImageService } = await import("@gantry/proto/image");
    const list = channel.client(ImageService).listImages({});
    await assert.rejects(list, (error) => hasKind(error, "unavailable"));
    const health = await channel.client(Health).check({ service: ImageService.typeName });
    assert.equal(health.status, Status.NOT_SERVING);
    assert.equal((await channel.client(Health).check({ service: "" })).status, Status.SERVING);
    await stack.restartImages();
  });
  it("answers unimplemented for an unknown method", async () => {
    const unknown = { ...ContainerService, typeName: "gantry.none.v1.NoService" };
    const refused = channel.client(v1.ServerReflection);
    assert.ok(refused);
    const answer = await ask(stack.socket, {
      method: "POST",
      path: `/${unknown.typeName}/Nothing`,
      body: "{}",
    });
    assert.equal(answer.status, 404);
  });
});

describe("reflection", () => {
  for (const [name, service] of [
    ["v1", v1.ServerReflection],
    ["v1alpha", v1alpha.ServerReflection],
  ] as const) {
    it(`${name} lists every service, and each has its file`, async () => {
      async function* questions() {
        yield { host: "", messageRequest: { case: "listServices" as const, value: "" } };
        yield {
          host: "",
          messageRequest: {
            case: "fileContainingSymbol" as const,
            value: "gantry.image.v1.ImageService.PullImage",
          },
        };
      }
      const answers = channel
        .client(service as typeof v1.ServerReflection)
        .serverReflectionInfo(questions());
      const found = [];
      for await (const answer of answers) found.push(answer.messageResponse);
      const list =
        found[0]?.case === "listServicesResponse"
          ? found[0].value.service.map((each) => each.name)
          : [];
      for (const area of [
        "container.v1.ContainerService",
        "container.v1.ExecService",
        "network.v1.NetworkService",
        "volume.v1.VolumeService",
        "system.v1.SystemService",
        "image.v1.ImageService",
        "image.v1.ContentService",
        "image.v1.SnapshotService",
        "event.v1.EventService",
      ]) {
        assert.ok(list.includes(`gantry.${area}`), area);
      }
      assert.equal(found[1]?.case, "fileDescriptorResponse");
    });
  }
});

describe("health", () => {
  it("watches a service through its restart", async () => {
    const watch = channel
      .client(Health)
      .watch({ service: ContainerService.typeName })
      [Symbol.asyncIterator]();
    assert.equal((await watch.next()).value.status, Status.SERVING);
    await stack.containers.stop();
    assert.equal((await watch.next()).value.status, Status.NOT_SERVING);
    await stack.restartContainers();
    assert.equal((await watch.next()).value.status, Status.SERVING);
    await watch.return?.();
  });
  it("is told on the gateway's own socket, too", async () => {
    using own = openChannel(servicePaths(stack.roots.config, "api-gateway").grpcSocket);
    assert.equal((await own.client(Health).check({ service: "" })).status, Status.SERVING);
  });
  it("does not know other services", async () => {
    await assert.rejects(channel.client(Health).check({ service: "nonsense" }), (error) =>
      hasKind(error, "not_found"),
    );
  });
});

describe("events by gRPC", () => {
  it("resume from a cursor over all services", async () => {
    const client = channel.client(EventService);
    const steps = client.subscribe({})[Symbol.asyncIterator]();
    await steps.next();
    stack.containers.addEvent({ type: "container", action: "one", actorId: "c", timeNano: 1n });
    let step = (await steps.next()).value;
    while (step.event === undefined) step = (await steps.next()).value;
    assert.equal(step.event.action, "one");
    const { cursor } = step;
    await steps.return?.();
    stack.containers.addEvent({ type: "container", action: "two", actorId: "c", timeNano: 2n });
    stack.images.addEvent({ type: "image", action: "three", actorId: "i", timeNano: 3n });
    const seen: string[] = [];
    for await (const each of client.subscribe({ cursor })) {
      if (each.event !== undefined) seen.push(each.event.action);
      if (seen.length === 2) break;
    }
    assert.deepEqual(seen.sort(), ["three", "two"]);
    const bad = client.subscribe({ cursor: "!!!" })[Symbol.asyncIterator]();
    await assert.rejects(bad.next(), (error) => hasKind(error, "invalid_argument"));
  });
});

describe("Connect", () => {
  it("takes JSON by HTTP/1.1, as curl sends it", async () => {
    const created = await connectJson("CreateContainer", {
      config: { image: "busybox", cmd: { values: ["exit", "3"] } },
    });
    assert.equal(created.status, 200, created.body);
    const { id } = created.json() as { id: string };
    assert.equal((await connectJson("StartContainer", { container: id })).status, 200);
    const inspected = (await connectJson("InspectContainer", { container: id })).json();
    assert.equal(inspected.container.state.exitCode, 3);
  });
  it("answers errors with code, message and detail", async () => {
    const answer = await connectJson("InspectContainer", { container: "none" });
    assert.equal(answer.status, 404);
    const error = answer.json();
    assert.equal(error.code, "not_found");
    assert.equal(error.message, "No such container: none");
    assert.equal(error.details[0].type, "gantry.error.v1.ErrorDetail");
  });
  it("refuses what is no JSON", async () => {
    assert.equal((await connectJson("InspectContainer", "{")).status, 400);
  });
});

const transports: readonly (readonly [string, () => Transport])[] = [
  [
    "Connect by HTTP/1.1",
    () =>
      createConnectTransport({
        baseUrl: "http://gantry",
        httpVersion: "1.1",
        nodeOptions: { socketPath: stack.socket },
      }),
  ],
  [
    "gRPC-Web by HTTP/1.1",
    () =>
      createGrpcWebTransport({
        baseUrl: "http://gantry",
        httpVersion: "1.1",
        nodeOptions: { socketPath: stack.socket },
      }),
  ],
  [
    "gRPC by HTTP/2",
    () =>
      createGrpcTransport({
        baseUrl: "http://gantry",
        nodeOptions: { createConnection: () => connect(stack.socket) },
      }),
  ],
  [
    "Connect by HTTP/2",
    () =>
      createConnectTransport({
        baseUrl: "http://gantry",
        httpVersion: "2",
        nodeOptions: { createConnection: () => connect(stack.socket) },
      }),
  ],
];

for (const [name, open] of transports) {
  it(`connect-node's client speaks ${name}, unary and streaming`, async () => {
    const client = createClient(ContainerService, open());
    const { id } = await client.createContainer({
      config: { image: "busybox", cmd: { values: ["sleep"] } },
    });
    await client.startContainer({ container: id });
    const abort = new AbortController();
    let samples = 0;
    const stats = client.statsContainer({ container: id, stream: true }, { signal: abort.signal });
    await assert.rejects(async () => {
      for await (const _sample of stats) if (++samples === 2) abort.abort();
    });
    assert.equal(samples, 2);
  });
}

it("Docker's API answers by HTTP/2 without upgrade, too", async () => {
  const session = http2.connect("http://gantry", { createConnection: () => connect(stack.socket) });
  const stream = session.request({ ":path": "/v1.41/containers/none/json" });
  const [headers] = (await once(stream, "response")) as [http2.IncomingHttpHeaders];
  assert.equal(headers[":status"], 404);
  assert.equal(await text(stream), '{"message":"No such container: none"}\n');
  const posted = session.request({
    ":path": "/volumes/create",
    ":method": "POST",
    "content-type": "application/json",
  });
  posted.end('{"Name":"by-h2"}');
  assert.match(await text(posted), /"Name":"by-h2"/);
  session.close();
});

it("an HTTP/1.1 request in pieces is still told apart", async () => {
  const client = await RawClient.connect(stack.socket);
  for (const piece of [
    "P",
    "O",
    "ST /containers/none/start HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n",
  ]) {
    await new Promise((resolve) => client.socket.write(piece, resolve));
    await new Promise(setImmediate);
  }
  assert.match(await client.until((all) => all.includes("No such container")), /^HTTP\/1\.1 404/);
  client.socket.destroy();
});
