/** attach/ws. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, describe, it } from "node:test";
import { eventually } from "@gantry/testkit";
import { WebSocket } from "ws";
import { frame } from "./fakes/container-service.ts";
import { ask, post } from "./fakes/http.ts";
import { openStack, type Stack } from "./fakes/stack.ts";

let stack: Stack;
before(async () => {
  stack = await openStack();
  stack.containers.programs.set("cat", async (socket) => {
    for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
      // Two frames, the second cut in the middle of its head.
      const bytes = Buffer.concat([frame(1, String(chunk)), frame(2, "!")]);
      socket.write(bytes.subarray(0, bytes.length - 5));
      await new Promise(setImmediate);
      socket.write(bytes.subarray(bytes.length - 5));
    }
    return 0;
  });
});
after(async () => {
  await stack[Symbol.asyncDispose]();
});

async function running(): Promise<string> {
  const created = await post(stack.socket, "/containers/create", {
    Image: "busybox",
    Cmd: ["cat"],
  });
  const { Id } = created.json() as { Id: string };
  await post(stack.socket, `/containers/${Id}/start`);
  return Id;
}

const open = (path: string): WebSocket => new WebSocket(`ws+unix://${stack.socket}:${path}`);

describe("attach by websocket", () => {
  it("carries input and output in binary messages without frames", async () => {
    const id = await running();
    const ws = open(`/containers/${id}/attach/ws?stream=1&stdin=1&stdout=1&stderr=1`);
    await once(ws, "open");
    let received = "";
    ws.on("message", (data: Buffer, isBinary) => {
      assert.equal(isBinary, true);
      received += String(data);
    });
    ws.send("hello");
    await eventually(() => received === "hello!");
    const before = stack.containers.openStreams;
    ws.terminate();
    await eventually(() => stack.containers.openStreams === before - 1);
  });
  for (const how of ["ended", "over"] as const) {
    it(`ends at once where the run ended before the connection was made: ${how}`, async () => {
      const id = await running();
      stack.containers.vanishing.set(id, how);
      const ws = open(`/containers/${id}/attach/ws?stream=1&stdout=1`);
      await once(ws, "open");
      const [code] = (await once(ws, "close")) as [number];
      assert.equal(code, 1000);
    });
  }
  it("says that there is no such container also to who speaks no websocket", async () => {
    const { status } = await ask(stack.socket, { path: "/containers/none/attach/ws" });
    assert.equal(status, 404);
  });
  it("ends with the container", async () => {
    const id = await running();
    const ws = open(`/containers/${id}/attach/ws?stream=1&stdout=1`);
    await once(ws, "open");
    await eventually(() => stack.containers.openStreams > 0);
    await post(stack.socket, `/containers/${id}/kill`);
    await once(ws, "close");
  });
  it("honours the query from 1.42 on only", async () => {
    const id = await running();
    const last = () =>
      stack.containers.seen.findLast(({ method }) => method === "attachContainer")?.request as {
        stdin: boolean;
        stdout: boolean;
      };
    for (const [version, expected] of [
      ["1.41", true],
      ["1.42", false],
    ] as const) {
      const ws = open(`/v${version}/containers/${id}/attach/ws?stdout=1`);
      await once(ws, "open");
      assert.equal(last().stdin, expected);
      ws.terminate();
    }
  });
  it("to a missing container is refused before the handshake", async () => {
    const ws = open("/containers/none/attach/ws");
    const [error] = (await once(ws, "error")) as [Error];
    assert.match(error.message, /404/);
  });
  it("without websocket headers is a 400", async () => {
    const id = await running();
    const answer = await ask(stack.socket, `/containers/${id}/attach/ws`);
    assert.equal(answer.status, 400);
  });
});
