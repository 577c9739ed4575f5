/** What a step of a build can do to the socket of its client's agent: it is the one socket here that anybody may write to. */
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { describe, it, type TestContext } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { create, toBinary } from "@bufbuild/protobuf";
import { openTempDir } from "@gantry/fs";
import { BytesMessageSchema } from "@gantry/proto/buildkit";
import { eventually } from "@gantry/testkit";
import type { MessageTaker } from "../wire/client-call.ts";
import { AgentSockets } from "./agent-sockets.ts";
import type { Session } from "./session.ts";

/** A session whose agent does this with each connection. */
function sessionOf(receive: (take: MessageTaker) => Promise<void>): Session {
  const call = {
    write: () => undefined,
    end: () => undefined,
    cancel: () => undefined,
    receive,
  };
  const connection = { unary: () => Promise.resolve({}), open: () => call };
  return { serves: () => true, connection } as unknown as Session;
}

async function openSocket(t: TestContext, session: Session): Promise<string> {
  const dir = await openTempDir("gantry-agent-");
  const until = new AbortController();
  t.after(async () => {
    until.abort();
    await dir.close();
  });
  const lent = await new AgentSockets(dir.path).open(session, "default", until.signal);
  assert.ok("socket" in lent);
  return lent.socket;
}

describe("the socket of an agent", () => {
  it("holds the agent back while the step does not read", async (t) => {
    const message = create(BytesMessageSchema, { data: new Uint8Array(64 * 1024) });
    const encoded = Buffer.from(toBinary(BytesMessageSchema, message));
    let taken = 0;
    const path = await openSocket(
      t,
      sessionOf(async (take) => {
        for (; taken < 1024; taken++) await take(encoded);
      }),
    );
    const step = net.connect(path).pause();
    await once(step, "connect");
    await eventually(() => (taken > 0 ? true : undefined));
    for (let i = 0; i < 100; i++) await turn();
    assert.ok(taken < 100, `${String(taken)} messages are kept in memory`);
    let bytes = 0;
    step.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
    });
    step.resume();
    await once(step, "end");
    step.destroy();
    assert.equal(bytes, 1024 * 64 * 1024);
  });

  it("takes a bounded number of connections", async (t) => {
    const held = Promise.withResolvers<undefined>();
    let open = 0;
    const path = await openSocket(
      t,
      sessionOf(async () => {
        open++;
        await held.promise;
      }),
    );
    t.after(() => {
      held.resolve(undefined);
    });
    let closed = 0;
    const steps = Array.from({ length: 80 }, () =>
      net
        .connect(path)
        .on("error", () => undefined)
        .once("close", () => closed++)
        .resume(),
    );
    await eventually(() => (open + closed >= 80 ? true : undefined));
    assert.equal(open, 64);
    for (const each of steps) each.destroy();
  });
});
