/** The builder ends when it has had nothing to do for a minute: what counts as nothing. */
import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { Activity } from "./activity.ts";

const idleMs = 60_000;

function watched(context: TestContext) {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const onIdle = context.mock.fn();
  const activity = new Activity(idleMs, onIdle);
  return {
    activity,
    ends: () => onIdle.mock.callCount(),
    pass: (ms: number) => {
      context.mock.timers.tick(ms);
    },
  };
}

describe("the builder", () => {
  it("ends when nobody came for the idle time", (context) => {
    const { ends, pass } = watched(context);
    pass(idleMs - 1);
    assert.equal(ends(), 0);
    pass(1);
    assert.equal(ends(), 1);
  });

  it("stays while any build or session goes on, and the whole idle time after the last of them", (context) => {
    const { activity, ends, pass } = watched(context);
    const session = activity.begin();
    pass(idleMs - 1);
    const build = activity.begin();
    session[Symbol.dispose]();
    pass(10 * idleMs);
    assert.equal(ends(), 0);
    build[Symbol.dispose]();
    pass(idleMs - 1);
    assert.equal(ends(), 0);
    pass(1);
    assert.equal(ends(), 1);
  });

  it("counts what ends twice once", (context) => {
    const { activity, ends, pass } = watched(context);
    const one = activity.begin();
    activity.begin();
    one[Symbol.dispose]();
    one[Symbol.dispose]();
    pass(10 * idleMs);
    assert.equal(ends(), 0);
  });

  it("is not ended by its timer when it ends anyway", (context) => {
    const { activity, ends, pass } = watched(context);
    activity.close();
    pass(10 * idleMs);
    assert.equal(ends(), 0);
  });
});
