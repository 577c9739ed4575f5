/** What a dockerd 28.5 answers to wrong requests, to the byte. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { TestEngine } from "@gantry/testkit/test-engine";
import { ask } from "../src/http.ts";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

interface Row {
  readonly method: string;
  readonly path: string;
  readonly body?: object | string;
  readonly status: number;
  readonly message: string;
}

const untilRows = ["containers", "networks"].flatMap((objects): Row[] =>
  [
    ["x", 'failed to parse value as time or duration: "x"'],
    ["-1", 'parsing time "-1" as "2006-01-02": cannot parse "-1" as "2006"'],
    ["2026-13-01", 'parsing time "2026-13-01": month out of range'],
    ["2026-02-30", 'parsing time "2026-02-30": day out of range'],
    ["2026-01-01T25:00:00", 'parsing time "2026-01-01T25:00:00": hour out of range'],
  ].map(([until, message = ""]) => ({
    ...{ method: "POST", status: 400, message },
    path: `/${objects}/prune?filters=${encodeURIComponent(JSON.stringify({ until: [until] }))}`,
  })),
);

describe("a wrong request", () => {
  for (const { method, path, body, status, message } of untilRows) {
    it(`${method} ${decodeURIComponent(path)} ${JSON.stringify(body) ?? ""}`, async () => {
      const answer = await ask(engine, {
        ...{ method, path: `/v1.50${path}` },
        ...(body !== undefined && { body, headers: { "content-type": "application/json" } }),
      });
      assert.deepEqual([answer.status, JSON.parse(answer.body)], [status, { message }]);
    });
  }
});
