import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { describe, it } from "node:test";
import { createHttpClient, type HttpClient, readBody } from "./http-client.ts";

interface Place extends AsyncDisposable {
  readonly client: HttpClient;
  readonly url: URL;
  /** Resolves when the client has hung up. */
  readonly left: Promise<unknown>;
}

/** Longer than any test takes. */
const patientMs = 60_000;

/** A server that answers as told, and a client that waits so long for its next byte. */
async function serve(
  answer: (response: http.ServerResponse) => void,
  idleMs = patientMs,
): Promise<Place> {
  const left = Promise.withResolvers<undefined>();
  const server = http.createServer((_request, response) => {
    answer(response);
  });
  // A client that is quick to leave may do so before its request was seen.
  server.on("connection", (socket) => {
    socket.once("close", () => {
      left.resolve(undefined);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = createHttpClient({}, { idleMs, connectMs: 5000 });
  return {
    client,
    url: new URL(`http://127.0.0.1:${String((server.address() as AddressInfo).port)}/v2/`),
    left: left.promise,
    async [Symbol.asyncDispose]() {
      client.close();
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

const get = ({ client, url }: Place, signal = new AbortController().signal) =>
  client.send({
    method: "GET",
    url,
    headers: {},
    tls: { context: undefined, verify: true },
    signal,
  });

describe("a host that is spoken to at some addresses only", () => {
  it("is reached there, whatever its name leads to", async () => {
    await using place = await serve((response) => response.end("here"));
    const url = new URL(place.url);
    for (const [hostname, address] of [
      ["registry.invalid", "127.0.0.1"],
      ["localhost", "127.0.0.2"],
    ] as const) {
      url.hostname = hostname;
      const tls = { context: undefined, verify: false, addresses: [{ address, family: 4 }] };
      const { signal } = new AbortController();
      const asked = place.client.send({ method: "GET", url, headers: {}, tls, signal });
      if (address === "127.0.0.1") {
        assert.equal((await readBody(await asked, 100)).bytes.toString(), "here");
      } else {
        const refused = `dial tcp 127.0.0.2:${url.port}: connect: connection refused`;
        await assert.rejects(asked, { message: `Get "${url.href}": ${refused}` });
      }
    }
  });
});

describe("a server that keeps silent", () => {
  it("before its head is left, in Docker's words", async () => {
    await using place = await serve(() => undefined, 100);
    await assert.rejects(get(place), {
      kind: "internal",
      message: `Get "${place.url.href}": net/http: request canceled (Client.Timeout exceeded while awaiting headers)`,
    });
    await place.left;
  });

  it("in the middle of a body is left, and the reader learns it", async () => {
    await using place = await serve((response) => {
      response.writeHead(200, { "content-length": 1000 });
      response.write("some");
    }, 1000);
    const response = await get(place);
    await assert.rejects(readBody(response, 1000), { kind: "internal" });
    await place.left;
  });

  it("is not left while bytes come, however slowly", async () => {
    await using place = await serve((response) => {
      let count = 0;
      const timer = setInterval(() => {
        count += 1;
        response.write("x");
        if (count < 30) return;
        clearInterval(timer);
        response.end();
      }, 50);
    }, 1000);
    const { bytes } = await readBody(await get(place), 1000);
    assert.equal(bytes.toString(), "x".repeat(30));
  });

  it("is left at once when the caller has gone", async () => {
    await using place = await serve((response) => {
      response.writeHead(200, { "content-length": 1000 });
      response.write("some");
    });
    const controller = new AbortController();
    const response = await get(place, controller.signal);
    const read = readBody(response, 1000);
    controller.abort();
    await assert.rejects(read);
    await place.left;
  });
});
