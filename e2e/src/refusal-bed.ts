/** Where tests of bad input run: an engine that it must not change, and what an error looks like. */
import assert from "node:assert/strict";
import { after, before, beforeEach } from "node:test";
import { TestEngine } from "@gantry/testkit/test-engine";
import { untilPasses } from "@gantry/testkit/until-passes";
import { ask, type Question } from "./http.ts";

/** What no refusal may change. */
async function stateOf(engine: TestEngine) {
  const services = ["api-gateway", "container-service", "image-service"] as const;
  const pids = await Promise.all(services.map(async (name) => await engine.pidsOf(name)));
  const { body } = await ask(engine, { path: "/v1.51/system/df" });
  return { pids: JSON.stringify(pids), usage: body };
}

/** An engine that is there while tests run. */
export interface RefusalBed {
  readonly engine: TestEngine;
}

/**
 * Sets a test file up whose requests are all refused: no test may leave a container, and after the last
 * one the engine has what it had before the first, in the same processes.
 */
export function useRefusalBed(): RefusalBed {
  let opened: { readonly engine: TestEngine; readonly unchanged: () => Promise<void> } | undefined;
  const bed: RefusalBed = {
    get engine() {
      assert.ok(opened !== undefined);
      return opened.engine;
    },
  };
  before(async () => {
    const engine = await TestEngine.start();
    opened = { engine, unchanged: await keepsItsState(engine) };
  });
  beforeEach(async () => {
    assert.equal(await bed.engine.docker(["ps", "-aq"]), "", "an earlier test left a container");
  });
  after(async () => {
    try {
      await opened?.unchanged();
    } finally {
      await opened?.engine[Symbol.asyncDispose]();
    }
  });
  return bed;
}

/** Notes an engine's state; what it returns asserts that it is the same again. */
async function keepsItsState(engine: TestEngine): Promise<() => Promise<void>> {
  const atFirst = await stateOf(engine);
  return async () => {
    // What a refused archive brought is collected a moment after its answer.
    await untilPasses(async () => {
      const now = await stateOf(engine);
      assert.deepEqual(now, atFirst, "something is left, or a service was restarted");
    });
  };
}

/** The error at the end of a stream. */
export async function streamedError(engine: TestEngine, question: Question): Promise<string> {
  const { status, body } = await ask(engine, question);
  assert.equal(status, 200, body);
  const last = JSON.parse(body.trim().split("\n").at(-1) ?? "") as {
    error: string;
    errorDetail: { message: string };
  };
  assert.equal(last.errorDetail?.message, last.error, body);
  return last.error;
}
