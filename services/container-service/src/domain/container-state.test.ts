import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  InvalidTransitionError,
  isRunning,
  neverRan,
  recoveryRules,
  type State,
  type StateEvent,
  type Status,
  shownStatus,
  transition,
} from "./container-state.ts";

const run = {
  launched: { pid: 7, pidStartTicks: 1n, shimPid: 6, shimStartTicks: 1n, nonce: "00" },
  bootId: "boot",
  startedAtNano: 5n,
};
const ran = { ...neverRan, startedAtNano: 1n, finishedAtNano: 2n, exitCode: 3 };

const states: Record<Status, State> = {
  created: { status: "created", past: neverRan },
  starting: { status: "starting", past: neverRan, bootId: "boot", nonce: "00", from: "created" },
  running: { status: "running", past: neverRan, run },
  paused: { status: "paused", past: neverRan, run },
  restarting: { status: "restarting", past: ran },
  exited: { status: "exited", past: ran },
  removing: { status: "removing", past: ran },
  dead: { status: "dead", past: ran },
};

const exit = { type: "exit", exitCode: 9, oomKilled: true, atNano: 8n } as const;
const events: Record<string, StateEvent> = {
  start: { type: "start", bootId: "boot", nonce: "00" },
  launched: { type: "launched", run },
  "launch-failed": { type: "launch-failed", error: "no", exitCode: 127 },
  "launch-lost": { type: "launch-lost", error: "no" },
  exit: { ...exit, restart: false },
  "exit and restart": { ...exit, restart: true },
  "give-up-restart": { type: "give-up-restart" },
  pause: { type: "pause" },
  unpause: { type: "unpause" },
  remove: { type: "remove" },
  "remove-failed": { type: "remove-failed", error: "no" },
};

/** Written down by hand, not derived from the table: from, event, to. Every other pair is refused. */
const allowed: readonly (readonly [Status, string, Status])[] = [
  ["created", "start", "starting"],
  ["created", "remove", "removing"],
  ["starting", "launched", "running"],
  ["starting", "launch-failed", "created"],
  ["starting", "launch-lost", "created"],
  ["running", "exit", "exited"],
  ["running", "exit and restart", "restarting"],
  ["running", "pause", "paused"],
  ["paused", "exit", "exited"],
  ["paused", "exit and restart", "restarting"],
  ["paused", "unpause", "running"],
  ["restarting", "start", "starting"],
  ["restarting", "give-up-restart", "exited"],
  ["restarting", "remove", "removing"],
  ["exited", "start", "starting"],
  ["exited", "remove", "removing"],
  ["removing", "remove-failed", "dead"],
  ["dead", "remove", "removing"],
];

describe("container state", () => {
  for (const [from, state] of Object.entries(states)) {
    for (const [name, event] of Object.entries(events)) {
      const to = allowed.find((each) => each[0] === from && each[1] === name)?.[2];
      it(to === undefined ? `${from} refuses ${name}` : `${from} becomes ${to} by ${name}`, () => {
        if (to === undefined) {
          assert.throws(() => transition(state, event), InvalidTransitionError);
        } else {
          assert.equal(transition(state, event).status, to);
        }
      });
    }
  }

  it("returns to exited, not created, when a later start fails", () => {
    const starting = transition(states.exited, { type: "start", bootId: "b", nonce: "01" });
    const failed = transition(starting, { type: "launch-failed", error: "x", exitCode: 126 });
    assert.equal(failed.status, "exited");
    assert.deepEqual(failed.past, { ...ran, error: "x", exitCode: 126 });
  });

  it("is again what it was when its start was cut off", () => {
    for (const before of [states.created, states.exited, states.restarting]) {
      const starting = transition(before, { type: "start", bootId: "b", nonce: "01" });
      const lost = transition(starting, { type: "launch-lost", error: "x" });
      assert.equal(lost.status, before.status);
      assert.deepEqual(lost.past, { ...before.past, error: "x" });
    }
  });

  it("keeps what an exit said", () => {
    const past = transition(states.running, { ...exit, restart: false }).past;
    assert.deepEqual(past, {
      startedAtNano: 5n,
      finishedAtNano: 8n,
      exitCode: 9,
      oomKilled: true,
      error: "",
    });
  });

  it("counts paused and restarting as running, as Docker does", () => {
    const running = Object.values(states).filter(isRunning);
    assert.deepEqual(
      running.map((state) => state.status),
      ["running", "paused", "restarting"],
    );
  });

  it("shows a starting container in the state it comes from", () => {
    assert.equal(shownStatus(states.starting), "created");
    assert.equal(shownStatus({ ...states.starting, from: "restarting" } as State), "restarting");
  });

  it("has a recovery rule for each state", () => {
    assert.deepEqual(Object.keys(recoveryRules).sort(), Object.keys(states).sort());
  });
});
