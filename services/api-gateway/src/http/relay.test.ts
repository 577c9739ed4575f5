import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import http from "node:http";
import net from "node:net";
import { afterEach, beforeEach, describe, it } from "node:test";
import { copyIn } from "./relay.ts";

describe("copyIn", () => {
  /** The service that reads the upload. */
  let sink: net.Server;
  let edge: http.Server;
  const portOf = (server: net.Server): number => (server.address() as net.AddressInfo).port;

  beforeEach(async () => {
    sink = net.createServer({ allowHalfOpen: true }).listen(0, "127.0.0.1");
    edge = http.createServer().listen(0, "127.0.0.1");
    await Promise.all([once(sink, "listening"), once(edge, "listening")]);
  });
  afterEach(() => {
    edge.closeAllConnections();
    edge.close();
    sink.close();
  });

  /** Begins a PUT; gives the client's request, the copy, the service's end, and the chunks of the body. */
  async function begin() {
    const client = http.request({ port: portOf(edge), method: "PUT" });
    client.flushHeaders();
    const [request] = (await once(edge, "request")) as [http.IncomingMessage];
    const data = net.connect({ port: portOf(sink), allowHalfOpen: true });
    const [service] = (await once(sink, "connection")) as [net.Socket];
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    data.on("error", () => undefined);
    client.on("error", () => undefined);
    return { client, service, request, chunks, copied: copyIn(request, data) };
  }

  it("brings every byte to a slow reader, and keeps none of them", async () => {
    const { client, service, chunks, copied } = await begin();
    const body = randomBytes(3_000_000);
    client.end(body);
    const hash = createHash("sha256");
    let length = 0;
    for await (const part of service.iterator({ destroyOnReturn: false })) {
      hash.update(part as Buffer);
      length += (part as Buffer).length;
      // The next read waits a turn of the event loop, in which the other side fills up.
      await new Promise(setImmediate);
    }
    service.end();
    await copied;
    assert.equal(length, body.length);
    assert.equal(hash.digest("hex"), createHash("sha256").update(body).digest("hex"));
    assert.ok(chunks.length > 10);
    assert.deepEqual(
      chunks.filter(({ byteLength }) => byteLength > 0),
      [],
    );
  });

  it("breaks the service's connection off when the client goes", async () => {
    const { client, service, copied } = await begin();
    client.write(randomBytes(1000));
    await once(service, "data");
    const ended = once(service, "end");
    client.destroy();
    await assert.rejects(copied, { code: "ERR_STREAM_PREMATURE_CLOSE" });
    await ended;
    service.destroy();
  });

  it("reads no more when the service has gone", async () => {
    const { client, service, request, copied } = await begin();
    client.write(randomBytes(1000));
    await once(service, "data");
    service.destroy();
    const writing = setInterval(() => client.write(randomBytes(10_000)), 1);
    await assert.rejects(copied);
    clearInterval(writing);
    assert.ok(request.isPaused());
  });
});
