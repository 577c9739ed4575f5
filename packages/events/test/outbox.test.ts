import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { describe, it, type TestContext } from "node:test";
import { openTempDir } from "@gantry/fs";
import { silentLogger } from "@gantry/logging";
import { type NatsServer, startNats } from "@gantry/testkit";
import { AckPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { type EventLog, type Outbox, openEventLog, startOutbox } from "../src/index.ts";

interface Fixture {
  readonly nats: NatsServer;
  readonly db: DatabaseSync;
  readonly log: EventLog;
}

async function start(t: TestContext, options: { jetstream?: boolean } = {}): Promise<Fixture> {
  const dir = await openTempDir("gantry-outbox-");
  const nats = await startNats({ dir: dir.path, ...options });
  const db = new DatabaseSync(":memory:");
  const log = openEventLog({ db, service: "container-service" });
  t.after(async () => {
    await nats.stop();
    await dir.close();
    db.close();
  });
  return { nats, db, log };
}

function publish({ nats, log }: Fixture): Outbox {
  const natsUrl = () => nats.url;
  return startOutbox({ log, natsUrl, logger: silentLogger(), minBackoffMs: 10, maxBackoffMs: 50 });
}

function add(log: EventLog, count: number): void {
  log.transaction(() => {
    for (let index = 0; index < count; index++) {
      log.append({ type: "container", action: "start", actorId: "c1", attributes: {} });
    }
  });
}

function connectTo(nats: NatsServer): Promise<NatsConnection> {
  const url = new URL(nats.url);
  return connect({ servers: url.host, user: "test", pass: "pass/word" });
}

/** All sequence numbers in the stream, in its order. */
async function stored(nats: NatsServer): Promise<number[]> {
  const connection = await connectTo(nats);
  try {
    const manager = await jetstreamManager(connection);
    const { messages } = (await manager.streams.info("GANTRY_EVENTS")).state;
    const { name } = await manager.consumers.add("GANTRY_EVENTS", { ack_policy: AckPolicy.None });
    const consumer = await jetstream(connection).consumers.get("GANTRY_EVENTS", name);
    const seen: number[] = [];
    const batch = await consumer.fetch({ max_messages: messages, expires: 2000 });
    for await (const message of batch) {
      seen.push(message.json<{ seq: number }>().seq);
    }
    return seen;
  } finally {
    await connection.close();
  }
}

const upTo = (last: number): number[] => Array.from({ length: last }, (_, index) => index + 1);

const never = new AbortController().signal;

describe("the outbox", () => {
  it("brings every event to the stream once, in order", async (t) => {
    const fixture = await start(t);
    add(fixture.log, 100);
    await using outbox = publish(fixture);
    add(fixture.log, 100);
    await outbox.drained(never);
    assert.deepEqual(await stored(fixture.nats), upTo(200));
    assert.equal(fixture.log.table.published(), 200);
  });

  it("loses nothing and waits for nobody while NATS is down", async (t) => {
    const fixture = await start(t);
    await using outbox = publish(fixture);
    add(fixture.log, 10);
    await outbox.drained(never);
    await fixture.nats.stop();
    add(fixture.log, 10);
    assert.equal(fixture.log.lastSeq(), 20);
    await fixture.nats.start();
    add(fixture.log, 10);
    await outbox.drained(never);
    assert.deepEqual(await stored(fixture.nats), upTo(30));
  });

  it("sends again what it is not sure of, and the stream drops the repeat", async (t) => {
    const fixture = await start(t);
    {
      await using outbox = publish(fixture);
      add(fixture.log, 5);
      await outbox.drained(never);
    }
    // As after a crash between the acknowledgement and the note of it.
    fixture.log.table.setPublished(2);
    await using again = publish(fixture);
    add(fixture.log, 1);
    await again.drained(never);
    assert.deepEqual(await stored(fixture.nats), upTo(6));
  });

  it("publishes to listeners where the server has no JetStream", async (t) => {
    const fixture = await start(t, { jetstream: false });
    const connection = await connectTo(fixture.nats);
    t.after(() => connection.close());
    const subscription = connection.subscribe("gantry.events.container.start.c1", { max: 3 });
    await connection.flush();
    await using outbox = publish(fixture);
    add(fixture.log, 3);
    await outbox.drained(never);
    const seen: string[] = [];
    for await (const message of subscription) {
      seen.push(message.headers?.get("Nats-Msg-Id") ?? "");
    }
    const { storeId } = fixture.log.table;
    assert.deepEqual(
      seen,
      upTo(3).map((seq) => `container-service:${storeId}:${String(seq)}`),
    );
  });
});
