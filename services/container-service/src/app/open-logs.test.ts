import assert from "node:assert/strict";
import { test } from "node:test";
import type { DataListener } from "@gantry/rpc";
import type { App } from "./context.ts";
import { openLogs } from "./open-logs.ts";

test("a log that cannot be opened leaves nobody waiting for the end of the run", async () => {
  const waits: AbortSignal[] = [];
  const entry = {
    id: "a",
    record: { state: { status: "starting" }, config: { tty: false }, hostConfig: {} },
    waiters: {
      add: (_condition: string, signal: AbortSignal) => {
        waits.push(signal);
        return Promise.withResolvers().promise;
      },
    },
  };
  const app = {
    registry: { find: () => entry },
    folders: { paths: () => ({ log: "/log" }) },
    logs: { open: () => Promise.reject(new Error("too many open files")) },
  } as unknown as App;
  const options = {
    ...{ follow: true, stdout: true, stderr: true, timestamps: false, details: false },
    ...{ sinceNano: 0n, untilNano: 0n, tail: undefined },
  };
  await assert.rejects(openLogs(app, {} as DataListener, "a", options), /too many open files/);
  assert.deepEqual(
    waits.map(({ aborted }) => aborted),
    [true],
  );
});
