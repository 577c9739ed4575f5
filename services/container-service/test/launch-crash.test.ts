/** A launch that is cut off at each of its steps: whatever began is told of once, whatever did not is not. */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { eventually } from "@gantry/testkit";
import { startEngine, type TestEngine } from "./engine.ts";

/** Steps of LaunchStep, in order, and what is killed at them. */
const cases = [
  ["intended", ""],
  ["prepared", ""],
  ["spawned", ""],
  ["recorded", ""],
  ["recorded", ":shim"],
  ["released", ""],
  ["released", ":shim"],
  ["released", ":term"],
  ["started", ""],
  ["started", ":shim"],
  ["started", ":term"],
  ["committed", ""],
  ["committed", ":shim"],
] as const;
const isDeep = process.env["GANTRY_TEST_DEEP"] === "1";
/** The machine may be busy. */
const patience = { timeoutMs: 60_000 };
const maximumRetryCount = 2;
const runs = 1 + maximumRetryCount;
const exitCode = 3;

const told = {
  "": "container-service is killed",
  ":shim": "container-service and the shim process are killed",
  ":term": "container-service is told to end",
};

describe("a launch that is cut off", () => {
  let engine: TestEngine;
  let begins: string;
  let failpoint: string;
  before(async () => {
    failpoint = path.join(tmpdir(), `gantry-failpoint-${String(process.pid)}`);
    engine = await startEngine({}, { GANTRY_FAILPOINT: `file:${failpoint}` });
    begins = path.join(engine.roots.path, "begins");
    mkdirSync(begins);
  });
  after(async () => {
    await engine[Symbol.asyncDispose]();
  });

  const check = async (step: string, launch: number, how: string): Promise<void> => {
    const name = `${step}-${String(launch)}${how.replace(":", "-")}`;
    writeFileSync(failpoint, `${step}:${String(launch)}${how}`);
    const id = await engine.create(`echo begin >> /begins/${name}; exit ${String(exitCode)}`, {
      hostConfig: {
        binds: { values: [`${begins}:/begins`] },
        restartPolicy: { name: "on-failure", maximumRetryCount },
      },
    });
    await engine.tryStart(id);
    await eventually(() => engine.service().ended(), patience);
    await engine.crash();
    if ((await engine.stateOf(id)).status === "created") {
      await engine.containers.startContainer({ container: id });
    }
    await eventually(async () => (await engine.stateOf(id)).status === "exited", patience);
    assert.equal((await engine.stateOf(id)).exitCode, exitCode);
    const actions = await engine.actions(id);
    const count = (wanted: string) => actions.filter((action) => action === wanted).length;
    assert.deepEqual([count("start"), count("die")], [runs, runs], actions.join(", "));
    const begun = readFileSync(path.join(begins, name), "utf8").split("\n").length - 1;
    // A program that was killed as soon as it was there has written nothing.
    if (how === ":shim") assert.ok(begun === runs || begun === runs - 1, String(begun));
    else assert.equal(begun, runs);
    await engine.containers.removeContainer({ container: id });
  };

  for (const [index, [step, how]] of cases.entries()) {
    const title = `is told of truly when ${told[how]} at "${step}" of`;
    // In turn one of the two, where there is no time for both.
    if (isDeep || index % 2 === 0)
      it(`${title} a user's start`, async () => {
        await check(step, 1, how);
      });
    if (isDeep || index % 2 === 1)
      it(`${title} the policy's restart`, async () => {
        await check(step, 2, how);
      });
  }
});
