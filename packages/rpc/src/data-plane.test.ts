import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import net from "node:net";
import path from "node:path";
import { pipeline } from "node:stream/promises";
import { describe, it, type TestContext } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { openTempDir } from "@gantry/fs";
import { silentLogger } from "@gantry/logging";
import { connectData, type DataListener, openDataListener } from "./index.ts";

async function open(t: TestContext): Promise<DataListener> {
  const dir = await openTempDir("gantry-data-");
  const socketPath = path.join(dir.path, "x.data.sock");
  const listener = await openDataListener({
    socketPath,
    logger: silentLogger(),
  });
  t.after(async () => {
    await listener.close();
    await dir.close();
  });
  return listener;
}

/** Reads one direction to its end and leaves the other one open. */
async function text(socket: net.Socket): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString();
}

/** Resolves when the peer has cut the connection, in whichever way the kernel tells of it. */
function cut(socket: net.Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.on("error", () => undefined);
    socket.once("end", () => socket.destroy());
    socket.once("close", () => {
      resolve();
    });
    socket.resume();
  });
}

describe("the data plane", () => {
  it("joins the holder of a ticket with its handler, half-closes included", async (t) => {
    const listener = await open(t);
    const target = listener.issue(async (socket) => {
      // Answers only after the peer has ended its direction.
      const all = await text(socket);
      socket.end(`got ${all}`);
    });
    const socket = await connectData(target);
    socket.end("hello");
    assert.equal(await text(socket), "got hello");
  });

  it("keeps bytes that came together with the ticket", async (t) => {
    const listener = await open(t);
    const seen = Promise.withResolvers<string>();
    const target = listener.issue(async (socket) => {
      seen.resolve(await text(socket));
    });
    const socket = net.connect(target.path);
    socket.end(Buffer.concat([target.ticket, Buffer.from("early")]));
    assert.equal(await seen.promise, "early");
  });

  it("takes a ticket that comes in pieces", async (t) => {
    const listener = await open(t);
    const seen = Promise.withResolvers<string>();
    const target = listener.issue(async (socket) => {
      seen.resolve(await text(socket));
    });
    const socket = net.connect(target.path);
    await once(socket, "connect");
    socket.write(target.ticket.subarray(0, 5));
    await new Promise((resolve) => setImmediate(resolve));
    socket.end(Buffer.concat([target.ticket.subarray(5), Buffer.from("late")]));
    assert.equal(await seen.promise, "late");
  });

  it("tells the maker of a ticket when nobody comes: late, taken back, or at the end", async (t) => {
    const listener = await open(t);
    const unused: string[] = [];
    const issue = (name: string) =>
      listener.issue(() => Promise.resolve(), { onUnused: () => unused.push(name) });
    const late = Promise.withResolvers<undefined>();
    listener.issue(() => Promise.resolve(), {
      ttlMs: 1,
      onUnused() {
        unused.push("late");
        late.resolve(undefined);
      },
    });
    await late.promise;
    listener.revoke(issue("taken back").ticket);
    issue("at the end");
    await listener.close();
    assert.deepEqual(unused, ["late", "taken back", "at the end"]);
  });

  it("refuses unknown, used, late and revoked tickets", async (t) => {
    const listener = await open(t);
    let runs = 0;
    const handler = () => {
      runs++;
      return Promise.resolve();
    };
    const refused = async (ticket: Uint8Array): Promise<void> => {
      await cut(await connectData({ path: listener.path, ticket }));
    };
    await refused(randomBytes(32));
    const used = listener.issue(handler);
    await cut(await connectData(used));
    await refused(used.ticket);
    const revoked = listener.issue(handler);
    assert.equal(listener.revoke(revoked.ticket), true);
    assert.equal(listener.revoke(revoked.ticket), false);
    await refused(revoked.ticket);
    // Intentionally short.
    const late = listener.issue(handler, { ttlMs: 1 });
    await new Promise((resolve) => setTimeout(resolve, 20));
    await refused(late.ticket);
    assert.equal(runs, 1);
  });

  it("waits no longer for the ticket of a connection that it has cut", async (t) => {
    const timers = (): number =>
      process.getActiveResourcesInfo().filter((each) => each === "Timeout").length;
    const listener = await open(t);
    const before = timers();
    const silent = net.connect(listener.path);
    await once(silent, "connect");
    while (timers() === before) await turn();
    const gone = cut(silent);
    await listener.close();
    await gone;
    assert.equal(timers(), before);
  });

  it("tells the handler that its peer is gone once it writes to it", async (t) => {
    const listener = await open(t);
    const gone = Promise.withResolvers<undefined>();
    const target = listener.issue(async (socket, signal) => {
      signal.addEventListener("abort", () => {
        gone.resolve(undefined);
      });
      socket.resume();
      socket.once("end", () => socket.write("anybody there?"));
      await gone.promise;
    });
    const socket = await connectData(target);
    socket.destroy();
    await gone.promise;
  });

  it("cuts the connection of a handler that fails", async (t) => {
    const listener = await open(t);
    const target = listener.issue(() => Promise.reject(new Error("broken")));
    await cut(await connectData(target));
  });

  it("holds a fast writer back to the pace of its reader", async (t) => {
    const listener = await open(t);
    let produced = 0;
    const target = listener.issue(async (socket) => {
      const source = (function* () {
        for (; produced < 2000; produced++) yield Buffer.alloc(64 * 1024);
      })();
      await pipeline(source, socket);
    });
    const socket = await connectData(target);
    socket.once("readable", () => undefined);
    await once(socket, "readable");
    for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
    assert.ok(produced < 500, `produced ${String(produced)} chunks without a reader`);
    let bytes = 0;
    for await (const chunk of socket) bytes += (chunk as Buffer).length;
    assert.equal(bytes, 2000 * 64 * 1024);
  });

  it("breaks nothing off when the peer goes with all that it was to get", async (t) => {
    const listener = await open(t);
    const served = Promise.withResolvers<boolean>();
    const target = listener.issue(async (socket, signal) => {
      const closed = once(socket, "close");
      socket.end("all");
      await closed;
      served.resolve(signal.aborted);
    });
    const client = await connectData(target);
    assert.equal(await text(client), "all");
    client.destroy();
    assert.equal(await served.promise, false);
  });

  it("says unavailable where nobody listens, and canceled for an aborted signal", async (t) => {
    const listener = await open(t);
    const ticket = randomBytes(32);
    await assert.rejects(connectData({ path: `${listener.path}x`, ticket }), {
      kind: "unavailable",
    });
    const signal = AbortSignal.abort();
    await assert.rejects(connectData({ path: listener.path, ticket }, { signal }), {
      kind: "canceled",
    });
  });
});
