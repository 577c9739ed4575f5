/** What a container prints, and how it fails to start. */
import assert from "node:assert/strict";
import { Playground } from "./shim-driver.ts";
import { type PlanInit, processOf } from "./shim-plan.ts";

/** Runs a command to its end and gives back what it printed. */
export async function output(
  changes: PlanInit,
  prepare?: (playground: Playground) => void,
): Promise<string> {
  await using playground = await Playground.make();
  prepare?.(playground);
  const shim = playground.launch(changes);
  const failed = shim
    .message("startFailed")
    .then((failure) => Promise.reject(new Error(failure.message)));
  await Promise.race([shim.message("exited"), failed]);
  failed.catch(() => undefined);
  return playground
    .log()
    .map((record) => record.log)
    .join("");
}

/** The failure of a command that cannot be started. */
export async function failure(changes: PlanInit, prepare?: (playground: Playground) => void) {
  await using playground = await Playground.make();
  prepare?.(playground);
  const shim = playground.launch(changes);
  const failed = await shim.message("startFailed");
  assert.deepEqual(await shim.exitOfProcess(), { exitCode: 1 });
  return failed;
}

export const sh = (script: string): PlanInit => ({ process: processOf(["sh", "-c", script]) });
