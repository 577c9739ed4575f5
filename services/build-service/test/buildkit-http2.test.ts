/** The builder's services on docker.sock without a hijacked connection, and sessions inside of calls. */
import assert from "node:assert/strict";
import http2 from "node:http2";
import net from "node:net";
import { Duplex } from "node:stream";
import { after, before, describe, test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import {
  type CallOptions,
  Code,
  ConnectError,
  type ConnectRouter,
  createClient,
} from "@connectrpc/connect";
import { connectNodeAdapter, createGrpcTransport } from "@connectrpc/connect-node";
import {
  type BuildHistoryRecord,
  Control,
  content,
  type Descriptor,
  FileSync,
  Packet_PacketType as PacketType,
  Secrets,
  StatusSchema,
} from "@gantry/proto/buildkit";
import {
  type EngineRoots,
  openEngineRoots,
  type ServiceProcess,
  startService,
} from "@gantry/testkit";

let roots: EngineRoots;
let services: ServiceProcess[] = [];

before(async () => {
  roots = await openEngineRoots({ daemon: {} });
  const entry = "services/build-service/test/scripted-builder/main.ts";
  services = [
    await startService({ roots, name: "build-service", entry }),
    await startService({ roots, name: "api-gateway" }),
  ];
});

after(async () => {
  for (const each of services.reverse()) await each.end();
  await roots[Symbol.asyncDispose]();
});

const controlTransport = () => {
  const createConnection = () => net.connect(roots.config.dockerSocket);
  return createGrpcTransport({
    baseUrl: "http://engine",
    nodeOptions: { createConnection },
    idleConnectionTimeoutMs: 100,
  });
};

const control = () => createClient(Control, controlTransport());

const recordsOf = async (
  client: ReturnType<typeof control>,
  question: { readonly ref?: string } = {},
): Promise<BuildHistoryRecord[]> => {
  const found: BuildHistoryRecord[] = [];
  for await (const { record } of client.listenBuildHistory({ earlyExit: true, ...question }))
    if (record !== undefined) found.push(record);
  return found;
};

/** A blob, from the store on the control connection. */
const blob = async (descriptor: Descriptor | undefined): Promise<Buffer> => {
  assert.ok(descriptor !== undefined);
  const parts: Uint8Array[] = [];
  const store = createClient(content.Content, controlTransport());
  const { digest } = descriptor;
  assert.equal((await store.info({ digest })).info?.size, descriptor.size);
  for await (const { data } of store.read({ digest })) parts.push(data);
  return Buffer.concat(parts);
};

/** A client's side of a session, served inside of Control.Session. */
async function withSession(
  id: string,
  routes: (router: ConnectRouter) => void,
  work: (client: ReturnType<typeof control>) => Promise<void>,
): Promise<void> {
  const [inside, outside] = pair();
  const server = http2.createServer(connectNodeAdapter({ routes }));
  const arrived = new Promise<void>((resolve) => {
    server.once("session", (session) => {
      session.once("remoteSettings", () => {
        resolve();
      });
    });
  });
  server.emit("connection", inside);
  const client = control();
  const end = new AbortController();
  const options: CallOptions = {
    signal: end.signal,
    headers: { "x-docker-expose-session-uuid": id },
  };
  const carried = (async () => {
    for await (const { data } of client.session(messagesOf(outside), options)) outside.write(data);
  })().catch((error: unknown) => {
    if (!end.signal.aborted) throw error;
  });
  try {
    await arrived;
    await work(client);
  } finally {
    end.abort();
    inside.destroy();
    await carried;
  }
}

async function* messagesOf(stream: Duplex): AsyncGenerator<{ data: Uint8Array<ArrayBuffer> }> {
  for await (const chunk of stream) yield { data: new Uint8Array(chunk as Buffer) };
}

/** Two ends of a connection in memory. */
function pair(): [Duplex, Duplex] {
  const ends: Duplex[] = [];
  const make = (other: number): Duplex =>
    new Duplex({
      read: () => undefined,
      write(chunk, _encoding, done) {
        ends[other]?.push(chunk);
        done();
      },
      final(done) {
        ends[other]?.push(null);
        done();
      },
    });
  const a = make(1);
  const b = make(0);
  ends.push(a, b);
  return [a, b];
}

/** Serves one Dockerfile. */
async function* dockerfileOf(
  text: string,
  packets: AsyncIterable<{ readonly type: PacketType; readonly id: number }>,
) {
  const data = new TextEncoder().encode(text);
  const stat = { path: "Dockerfile", mode: 0o644, size: BigInt(data.length) };
  yield { type: PacketType.PACKET_STAT, stat };
  yield { type: PacketType.PACKET_STAT };
  for await (const { type, id } of packets) {
    if (type === PacketType.PACKET_REQ) {
      yield { type: PacketType.PACKET_DATA, id, data };
      yield { type: PacketType.PACKET_DATA, id };
    } else {
      yield { type: PacketType.PACKET_FIN };
      return;
    }
  }
}

describe("HTTP/2 on docker.sock", () => {
  test("reaches the builder", async () => {
    const { record } = await control().listWorkers({});
    assert.equal(record.length, 1);
    assert.ok(record[0]?.labels["org.mobyproject.buildkit.worker.snapshotter"]);
  });

  test("remembers nothing before the first build", async () => {
    for await (const event of control().listenBuildHistory({ earlyExit: true })) {
      assert.fail(`there is ${event.record?.ref ?? "something"}`);
    }
    await assert.rejects(control().updateBuildHistory({ ref: "x", pinned: true }), {
      code: Code.NotFound,
    });
    await control().updateBuildHistory({ ref: "x", delete: true });
    // Who does not want to leave early hears nothing until he goes.
    const listening = control().listenBuildHistory({}, { timeoutMs: 100 });
    await assert.rejects(
      async () => {
        for await (const _ of listening) assert.fail("there is something");
      },
      { code: Code.DeadlineExceeded },
    );
  });

  test("keeps a failure's words", async () => {
    const refused = control().solve({ ref: "x", exporters: [{ type: "nonesuch" }] });
    await assert.rejects(refused, (error: unknown) => {
      assert.ok(error instanceof ConnectError);
      assert.equal(error.code, Code.Unknown);
      assert.match(error.rawMessage, /exporter "nonesuch" could not be found/);
      return true;
    });
  });

  test("carries a session in a call and ends the progress with the build", async () => {
    const asked: string[] = [];
    const routes = (router: ConnectRouter): void => {
      router.service(Secrets, {
        getSecret: ({ id }) => {
          asked.push(id);
          return { data: new TextEncoder().encode("geheim") };
        },
      });
      router.rpc(FileSync.method.diffCopy, (packets) => dockerfileOf("SECRET one\n", packets));
    };
    await withSession("tunnel", routes, async (client) => {
      const names: string[] = [];
      const followed = (async () => {
        for await (const { vertexes } of client.status({ ref: "build-1" })) {
          names.push(...vertexes.filter((each) => each.completed).map((each) => each.name));
        }
      })();
      await client.solve({ ref: "build-1", session: "tunnel", frontend: "dockerfile.v0" });
      await followed;
      assert.deepEqual(asked, ["one"]);
      assert.ok(names.includes("[1/1] SECRET one"), names.join());
    });
  });

  test("remembers what it built, and what failed", async () => {
    const routes = (router: ConnectRouter): void => {
      router.rpc(FileSync.method.diffCopy, (packets) => dockerfileOf("FAIL\n", packets));
    };
    await withSession("remembered", routes, async (client) => {
      const failing = { session: "remembered", frontend: "dockerfile.v0" };
      const frontendAttrs = { "build-arg:A": "b" };
      await assert.rejects(client.solve({ ref: "bad", ...failing, frontendAttrs }));
      await assert.rejects(client.solve({ ref: "asked", ...failing, internal: true }));
      const known = await recordsOf(client);
      assert.deepEqual(
        known.map(({ ref, error }) => [ref, error?.code]),
        [
          ["bad", Code.Unknown],
          ["build-1", undefined],
        ],
      );
      const [bad, good] = known;
      assert.deepEqual(bad?.frontendAttrs, frontendAttrs);
      assert.equal(good?.numTotalSteps, good?.numCompletedSteps);

      // Its progress is told again.
      const names: string[] = [];
      for await (const { vertexes } of client.status({ ref: "build-1" }))
        names.push(...vertexes.filter((each) => each.completed).map((each) => each.name));
      assert.ok(names.includes("[1/1] SECRET one"), names.join());

      // How it was made, and all of the failure, are blobs.
      const [attestation] = good?.result?.attestations ?? [];
      const predicate = JSON.parse((await blob(attestation)).toString("utf8")) as object;
      assert.equal(
        (predicate as { buildType: string }).buildType,
        "https://mobyproject.org/buildkit@v1",
      );
      const failure = fromBinary(StatusSchema, await blob(bad?.externalError));
      assert.ok(failure.details.some(({ typeUrl }) => typeUrl.endsWith("errdefs.Source+json")));

      await client.updateBuildHistory({ ref: "bad", pinned: true });
      assert.deepEqual(
        (await recordsOf(client, { ref: "bad" })).map(({ pinned }) => pinned),
        [true],
      );
      await client.updateBuildHistory({ ref: "bad", delete: true });
      assert.deepEqual(
        (await recordsOf(client)).map(({ ref }) => ref),
        ["build-1"],
      );
    });
  });

  test("refuses a second session of one ID", async () => {
    await withSession(
      "twice",
      () => undefined,
      async (client) => {
        await assert.rejects(async () => {
          const headers = { "x-docker-expose-session-uuid": "twice" };
          for await (const _ of client.session(messagesOf(pair()[0]), { headers })) continue;
        }, /session twice already exists/);
      },
    );
  });
});
