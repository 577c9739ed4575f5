/** Clients that are killed: no RST_STREAM and no GOAWAY, only the end of their connection. */
import assert from "node:assert/strict";
import { once } from "node:events";
import http2 from "node:http2";
import { connect, type Socket } from "node:net";
import { after, before, describe, it } from "node:test";
import { eventually } from "@gantry/testkit";
import { ask } from "./fakes/http.ts";
import { openStack, type Stack } from "./fakes/stack.ts";

const maxConnections = 4;

let stack: Stack;
before(async () => {
  stack = await openStack({ maxConnections });
});
after(async () => {
  await stack[Symbol.asyncDispose]();
});

/** An HTTP/2 connection with an open subscription to the events, once the service has it. */
async function subscriber(): Promise<Socket> {
  const socket = connect(stack.socket);
  const session = http2.connect("http://gantry", { createConnection: () => socket });
  session.on("error", () => undefined);
  const stream = session.request({
    ":path": "/gantry.event.v1.EventService/Subscribe",
    ":method": "POST",
    "content-type": "application/grpc",
    te: "trailers",
  });
  stream.on("error", () => undefined);
  // An empty message: not compressed, of no bytes.
  stream.end(Buffer.alloc(5));
  await once(stream, "data");
  return socket;
}

const subscriptions = (): number => stack.containers.eventAdded.listenerCount("added");

describe("a gRPC client that is killed", () => {
  it("leaves no call behind", async () => {
    const socket = await subscriber();
    await eventually(() => subscriptions() === 1);
    socket.destroy();
    await eventually(() => subscriptions() === 0);
  });

  it("leaves its connection to others", async () => {
    for (let i = 0; i < maxConnections; i++) (await subscriber()).destroy();
    const answer = await eventually(() => ask(stack.socket, "/_ping"));
    assert.equal(answer.body, "OK");
  });
});
