/** The engine's other faces: gRPC, Connect with JSON, and NATS. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { Health, HealthCheckResponse_ServingStatus } from "@gantry/proto/grpc-health";
import { v1 } from "@gantry/proto/grpc-reflection";
import { openChannel } from "@gantry/rpc";
import { cleanEnvironment, mustRun } from "@gantry/testkit/run";
import { repository, TestEngine } from "@gantry/testkit/test-engine";
import { connect } from "@nats-io/transport-node";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

const sockets = ["container-service.sock", "image-service.sock", "docker.sock"];

for (const socket of sockets) {
  describe(`gRPC on ${socket}`, () => {
    it("lists its services and every method by reflection, and answers health checks", async () => {
      using channel = openChannel(path.join(engine.runRoot, socket));
      const names = await listServices(channel);
      assert.ok(
        names.some((name) => name.startsWith("gantry.")),
        names.join(" "),
      );
      const health = await channel.client(Health).check({ service: "" });
      assert.equal(health.status, HealthCheckResponse_ServingStatus.SERVING);
    });
  });
}

async function listServices(channel: ReturnType<typeof openChannel>): Promise<string[]> {
  async function* requests(): AsyncGenerator<{
    host: string;
    messageRequest: { case: "listServices"; value: string };
  }> {
    yield { host: "", messageRequest: { case: "listServices", value: "" } };
  }
  for await (const answer of channel.client(v1.ServerReflection).serverReflectionInfo(requests())) {
    if (answer.messageResponse.case === "listServicesResponse")
      return answer.messageResponse.value.service.map((service) => service.name);
  }
  throw new Error("reflection ended without an answer");
}

describe("another service that calls gRPC", () => {
  it("creates, starts and waits for a container with the example client", async () => {
    const ran = await mustRun(
      [
        process.execPath,
        path.join(repository, "docs/examples/run-container.ts"),
        path.join(engine.runRoot, "docker.sock"),
        "busybox",
        "sh",
        "-c",
        "exit 11",
      ],
      { cwd: repository },
    );
    assert.match(ran.stdout, /11/);
  });
  it("does the same by curl with JSON", async () => {
    const call = async (method: string, body: object): Promise<Record<string, unknown>> => {
      const ran = await mustRun(
        [
          "curl",
          "-sS",
          "--fail-with-body",
          "--unix-socket",
          path.join(engine.runRoot, "docker.sock"),
          "-H",
          "content-type: application/json",
          "-d",
          JSON.stringify(body),
          `http://gantry/gantry.container.v1.ContainerService/${method}`,
        ],
        { env: cleanEnvironment() },
      );
      return JSON.parse(ran.stdout) as Record<string, unknown>;
    };
    const created = await call("CreateContainer", {
      config: { image: "busybox", cmd: { values: ["sh", "-c", "exit 12"] } },
      hostConfig: { networkMode: "none" },
    });
    const id = created["id"];
    assert.ok(typeof id === "string");
    await call("StartContainer", { container: id });
    assert.equal(await engine.docker(["wait", id]), "12");
    await call("RemoveContainer", { container: id });
  });
});

/** What the test looks at: Docker's event, or the shim process's own word. */
interface ObservedEvent {
  readonly Actor?: { readonly ID: string; readonly Attributes: Readonly<Record<string, string>> };
  readonly exitCode?: number;
}

describe("an observer on NATS", () => {
  it("sees a container being created, started and dying, with its exit code", async () => {
    const url = new URL((await readFile(path.join(engine.runRoot, "nats.url"), "utf8")).trim());
    const nats = await connect({ servers: url.host, user: url.username, pass: url.password });
    const seen: { subject: string; data: ObservedEvent }[] = [];
    // The engine's word and the shim process's own come by ways of their own.
    const wanted = {
      destroy: Promise.withResolvers<undefined>(),
      exited: Promise.withResolvers<undefined>(),
    };
    // Events of containers before this one may still be on their way.
    const isWatched = ({ Actor }: ObservedEvent): boolean =>
      Actor?.Attributes["name"] === "watched";
    const subscriptions = ["gantry.events.>", "gantry.process.>"].map((subject) =>
      nats.subscribe(subject, {
        callback: (error, message) => {
          if (error !== null) {
            wanted.destroy.reject(error);
            return;
          }
          const data: ObservedEvent = message.json();
          seen.push({ subject: message.subject, data });
          if (message.subject.startsWith("gantry.events.container.destroy.") && isWatched(data))
            wanted.destroy.resolve(undefined);
          if (data.exitCode === 23) wanted.exited.resolve(undefined);
        },
      }),
    );
    await nats.flush();
    await engine.tryDocker(["run", "--rm", "--name", "watched", "busybox", "sh", "-c", "exit 23"]);
    await Promise.all([wanted.destroy.promise, wanted.exited.promise]);
    for (const subscription of subscriptions) subscription.unsubscribe();
    await nats.close();
    const container = seen.filter(
      ({ subject, data }) => subject.startsWith("gantry.events.container.") && isWatched(data),
    );
    assert.deepEqual(
      container.map(({ subject }) => subject.split(".")[3]),
      ["create", "attach", "start", "die", "destroy"],
    );
    const id = container[0]?.data.Actor?.ID ?? "";
    const exited = seen.find(({ subject }) => subject === `gantry.process.exited.${id}`);
    assert.equal(exited?.data.exitCode, 23);
  });
});
