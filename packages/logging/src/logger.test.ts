import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, it } from "node:test";
import { createLogger } from "./index.ts";

function capture(level: "info" | "debug" = "info") {
  const lines: Record<string, unknown>[] = [];
  const logger = createLogger({
    service: "test-service",
    level,
    write: (line) => lines.push(JSON.parse(line) as Record<string, unknown>),
  });
  return { logger, lines };
}

describe("createLogger", () => {
  it("writes one JSON object a line, with service, level and ISO time", () => {
    const { logger, lines } = capture();
    logger.info({ id: "c1" }, "container started");
    assert.equal(lines.length, 1);
    const { time, pid, ...rest } = lines[0] ?? {};
    assert.match(String(time), /^\d{4}-\d\d-\d\dT/);
    assert.equal(pid, process.pid);
    assert.deepEqual(rest, {
      level: "info",
      service: "test-service",
      id: "c1",
      msg: "container started",
    });
  });

  it("hides credentials, also below the top", () => {
    const { logger, lines } = capture();
    const secret = "hunter2";
    logger.info(
      {
        auth: secret,
        request: { password: secret, body: { identitytoken: secret } },
        user: "u",
      },
      "login",
    );
    assert.ok(!JSON.stringify(lines).includes(secret));
    assert.equal(lines[0]?.["user"], "u");
  });

  it("gives children the fields of their parent", () => {
    const { logger, lines } = capture();
    logger.child({ id: "c1" }).warn({ step: "mount" }, "slow");
    assert.equal(lines[0]?.["id"], "c1");
    assert.equal(lines[0]["step"], "mount");
  });

  it("drops lines below the level until it changes", () => {
    const { logger, lines } = capture();
    logger.debug({}, "one");
    logger.setLevel("debug");
    logger.debug({}, "two");
    assert.deepEqual(
      lines.map((line) => line["msg"]),
      ["two"],
    );
  });

  it("writes an error with its causes", () => {
    const { logger, lines } = capture();
    logger.error({ err: new Error("outer", { cause: new Error("inner") }) }, "failed");
    const err = lines[0]?.["err"] as {
      message: string;
      cause: { message: string };
    };
    assert.equal(err.message, "outer");
    assert.equal(err.cause.message, "inner");
  });
});

describe("a process that ends for what nobody handled", () => {
  const index = JSON.stringify(import.meta.resolve("./index.ts"));
  for (const [what, end] of [
    ["an error", `setImmediate(() => { throw new Error("no room") })`],
    ["a rejection", `void Promise.reject(new Error("no room"))`],
    ["a start that fails", `await Promise.reject(new Error("no room"))`],
  ]) {
    it(`has told it in its log: ${what}`, () => {
      const script = `
        import { createLogger, logFatalErrors } from ${index};
        logFatalErrors(createLogger({ service: "ending" }));
        ${end};`;
      const args = ["--input-type=module-typescript", "--disable-warning=ExperimentalWarning"];
      const ended = spawnSync(process.execPath, [...args, "-e", script], { encoding: "utf8" });
      assert.equal(ended.status, 1, ended.stderr);
      const line = ended.stderr.split("\n").find((each) => each.startsWith("{")) ?? "";
      const { level, service, err } = JSON.parse(line) as Record<string, { message: string }>;
      assert.deepEqual([level, service, err?.message], ["fatal", "ending", "no room"]);
    });
  }
});
