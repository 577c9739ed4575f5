import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import {
  type EventLog,
  eventJson,
  eventSubject,
  formatCursor,
  type LoggedEvent,
  type NewEvent,
  openEventLog,
  parseCursor,
  type SubscribeOptions,
  type SubscriptionStep,
} from "./index.ts";

interface Fixture {
  readonly db: DatabaseSync;
  readonly log: EventLog;
}

function open(options: { retain?: number; inMemory?: number; db?: DatabaseSync } = {}): Fixture {
  const db = options.db ?? new DatabaseSync(":memory:");
  return { db, log: openEventLog({ service: "container-service", ...options, db }) };
}

const event = (action: string, timeNano?: bigint): NewEvent => ({
  type: "container",
  action,
  actorId: "c1",
  attributes: { image: "busybox", name: "web" },
  ...(timeNano !== undefined && { timeNano }),
});

function add(log: EventLog, ...actions: string[]): LoggedEvent[] {
  return actions.map((action) => log.transaction(() => log.append(event(action))));
}

/** Follows a log until `count` steps have come. */
async function follow(
  log: EventLog,
  count: number,
  options: Partial<SubscribeOptions> = {},
): Promise<SubscriptionStep[]> {
  const steps: SubscriptionStep[] = [];
  const signal = new AbortController().signal;
  for await (const step of log.subscribe({ signal, ...options })) {
    steps.push(step);
    if (steps.length === count) break;
  }
  return steps;
}

const actions = (steps: readonly SubscriptionStep[]): (string | undefined)[] =>
  steps.map((step) => (step.gap ? "GAP" : step.event?.action));

describe("appending", () => {
  it("numbers events 1, 2, 3 with a message ID of their own", async () => {
    const { log } = open();
    const [first, second] = add(log, "create", "start");
    assert.equal(first?.seq, 1);
    assert.equal(second?.seq, 2);
    assert.equal(second.msgId, `container-service:${log.table.storeId}:2`);
    assert.deepEqual(await log.readAfter(0, 10), [first, second]);
  });

  it("leaves no event and no hole when the transaction fails", async () => {
    const { log } = open();
    add(log, "create");
    const failing = () =>
      log.transaction(() => {
        log.append(event("start"));
        throw new Error("disk full");
      });
    assert.throws(failing, /disk full/);
    assert.equal(log.lastSeq(), 1);
    assert.equal(add(log, "destroy")[0]?.seq, 2);
    assert.deepEqual(
      (await log.readAfter(0, 10)).map(({ action }) => action),
      ["create", "destroy"],
    );
  });

  it("shows nothing before the commit", async () => {
    const { db, log } = open();
    db.exec("BEGIN");
    log.append(event("create"));
    assert.deepEqual(await log.readAfter(0, 10), []);
    db.exec("COMMIT");
    log.committed();
    assert.equal((await log.readAfter(0, 10)).length, 1);
  });

  it("keeps numbers, store and nanoseconds over a restart", async () => {
    const { db, log } = open();
    const time = 1_700_000_000_123_456_789n;
    log.transaction(() => log.append(event("create", time)));
    const again = open({ db }).log;
    assert.equal(again.table.storeId, log.table.storeId);
    assert.equal(again.lastSeq(), 1);
    assert.deepEqual(await again.readAfter(0, 10), await log.readAfter(0, 10));
    assert.equal((await again.readAfter(0, 1))[0]?.timeNano, time);
    assert.equal(add(again, "start")[0]?.seq, 2);
  });

  it("never lets times run backwards", () => {
    const { log } = open();
    const times = [100n, 50n, 120n].map(
      (time) => log.transaction(() => log.append(event("x", time))).timeNano,
    );
    assert.deepEqual(times, [100n, 100n, 120n]);
  });
});

describe("subscribing", () => {
  it("opens with a mark and then shows only new events", async () => {
    const { log } = open();
    add(log, "create");
    const stream = log.subscribe({ signal: new AbortController().signal });
    const mark = await stream.next();
    assert.equal(mark.done, false);
    assert.equal(mark.value?.event, undefined);
    add(log, "start");
    const next = await stream.next();
    assert.equal(next.value?.event?.action, "start");
    await stream.return();
  });

  it("wakes a waiting subscriber", async () => {
    const { log } = open();
    const steps = follow(log, 2);
    setImmediate(() => add(log, "create"));
    assert.deepEqual(actions(await steps), [undefined, "create"]);
    assert.equal(log.subscribers(), 0);
  });

  it("resumes after a cursor, without loss or repeat", async () => {
    const { log } = open();
    add(log, "a", "b", "c");
    const first = await follow(log, 2, { sinceNano: 0n });
    assert.deepEqual(actions(first), [undefined, "a"]);
    const rest = await follow(log, 3, { cursor: first[1]?.cursor });
    assert.deepEqual(actions(rest), [undefined, "b", "c"]);
  });

  it("replays by time, and ends where the time says", async () => {
    const { log } = open();
    for (const [action, time] of [
      ["a", 10n],
      ["b", 20n],
      ["c", 30n],
    ] as const) {
      log.transaction(() => log.append(event(action, time)));
    }
    const steps = await follow(log, 99, { sinceNano: 15n, untilNano: 25n });
    assert.deepEqual(actions(steps), [undefined, "b"]);
  });

  it("ends at a time to come, after the events before it", async () => {
    const { log } = open();
    // Long enough for a loaded machine to append before it.
    const untilNano = BigInt(Date.now() + 1000) * 1_000_000n;
    const steps = follow(log, 99, { untilNano });
    setImmediate(() => add(log, "a"));
    assert.deepEqual(actions(await steps), [undefined, "a"]);
  });

  it("goes on for longer than a timer can take, and ends then", async (t) => {
    const dayMs = 24 * 3600 * 1000;
    t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: Date.now() });
    const { log } = open();
    const untilNano = BigInt(Date.now() + 40 * dayMs) * 1_000_000n;
    const steps = follow(log, 99, { untilNano });
    await turn();
    t.mock.timers.tick(30 * dayMs);
    await turn();
    add(log, "a");
    await turn();
    t.mock.timers.tick(11 * dayMs);
    assert.deepEqual(actions(await steps), [undefined, "a"]);
  });

  it("ends without an error when the caller's signal aborts", async () => {
    const { log } = open();
    const controller = new AbortController();
    const steps = follow(log, 99, { signal: controller.signal });
    setImmediate(() => {
      controller.abort();
    });
    assert.deepEqual(actions(await steps), [undefined]);
  });

  it("reads from disk when it has fallen behind memory", async () => {
    const { log } = open({ inMemory: 2 });
    const names = Array.from({ length: 40 }, (_, index) => `e${String(index)}`);
    add(log, ...names);
    const steps = await follow(log, 41, { sinceNano: 0n });
    assert.deepEqual(actions(steps), [undefined, ...names]);
  });

  it("marks the gap when retention has passed the cursor", async () => {
    const { log } = open({ retain: 10, inMemory: 1 });
    const [first] = add(log, "first");
    const cursor = formatCursor({
      service: "container-service",
      storeId: log.table.storeId,
      seq: first?.seq ?? 0,
    });
    for (let index = 0; index < 300; index++) add(log, "x");
    const steps = await follow(log, 3, { cursor });
    assert.deepEqual(actions(steps), [undefined, "GAP", "x"]);
    assert.equal(steps[2]?.event?.seq, 247);
    assert.equal(parseCursor(steps[1]?.cursor ?? "").seq, 246);
  });

  it("marks the gap when the cursor comes from another store", async () => {
    const { log } = open();
    add(log, "a");
    const cursor = formatCursor({ service: "container-service", storeId: "beef", seq: 7 });
    const steps = await follow(log, 2, { cursor });
    assert.deepEqual(actions(steps), ["GAP", "a"]);
  });

  it("refuses cursors that are malformed or of another service", async () => {
    const { log } = open();
    const other = formatCursor({ service: "image-service", storeId: "aa", seq: 1 });
    for (const cursor of ["???", "abc", other]) {
      await assert.rejects(follow(log, 1, { cursor }), { kind: "invalid_argument" });
    }
  });
});

describe("the published form", () => {
  it("has one token per part of the subject", () => {
    const subject = (action: string, actorId: string): string =>
      eventSubject({ type: "container", action, actorId });
    assert.equal(subject("exec_create: sh -c a.b", "c1"), "gantry.events.container.exec_create.c1");
    assert.equal(
      subject("pull", "reg.example:5000/a b"),
      "gantry.events.container.pull.reg_example:5000/a_b",
    );
    assert.equal(subject("prune", ""), "gantry.events.container.prune._");
  });

  it("is Docker's JSON plus service, seq and msgId, exact to the nanosecond", () => {
    const { log } = open();
    const logged = log.transaction(() => log.append(event("die", 1_700_000_000_123_456_789n)));
    const text = eventJson(logged);
    assert.ok(text.includes('"timeNano":1700000000123456789'));
    const { timeNano: _, ...rest } = JSON.parse(text) as Record<string, unknown>;
    assert.deepEqual(rest, {
      Type: "container",
      Action: "die",
      Actor: { ID: "c1", Attributes: { image: "busybox", name: "web" } },
      scope: "local",
      time: 1_700_000_000,
      service: "container-service",
      seq: 1,
      msgId: logged.msgId,
    });
  });
});
