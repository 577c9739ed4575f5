/** Wait: for the end of a run, or for the removal. Who comes just after a removal by itself gets the code, too. */
import { invalidArgument } from "@gantry/errors";
import { isRunning } from "../domain/container-state.ts";
import type { App } from "./context.ts";
import type { WaitCondition, WaitResult } from "./waiters.ts";

/** Registers the wait before it returns; the promise gives the result. Errors: not_found, invalid_argument. */
export function waitContainer(
  app: App,
  reference: string,
  condition: string,
  signal: AbortSignal,
): Promise<WaitResult> {
  const parsed = parseCondition(condition);
  const departed = app.departed.exitCode(reference);
  if (departed !== undefined) return Promise.resolve({ exitCode: departed, error: "" });
  const entry = app.registry.find(reference);
  const { state } = entry.record;
  const willRun = isRunning(state) || state.status === "starting";
  if (parsed === "not-running" && !willRun) {
    return Promise.resolve({ exitCode: state.past.exitCode, error: "" });
  }
  return entry.waiters.add(parsed, signal);
}

function parseCondition(condition: string): WaitCondition {
  switch (condition) {
    case "":
    case "not-running":
      return "not-running";
    case "next-exit":
    case "removed":
      return condition;
    default:
      throw invalidArgument(`invalid condition: "${condition}"`);
  }
}
