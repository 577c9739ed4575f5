import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create } from "@bufbuild/protobuf";
import { ContainerConfigSchema } from "@gantry/proto/container";
import { newId, parseContainerName } from "./container-id.ts";
import { parseDetachKeys } from "./detach-keys.ts";
import { generateName } from "./generated-names.ts";
import { afterProbe, type Health, nextProbeMs, restOfPauseMs, startingHealth } from "./health.ts";
import { healthCheckOf } from "./health-check.ts";
import { commandOf, mergeImageConfig, parseImageConfig } from "./image-config.ts";
import { formatTime, frame, parseLogLine, showRecord } from "./log-record.ts";
import { filterProcesses } from "./process-table.ts";
import { nextPauseMs, wantsRestart, wantsStartAtBoot } from "./restart-policy.ts";
import { parseSignal, parseStopSignal } from "./signals.ts";

describe("signals", () => {
  it("reads names and numbers", () => {
    const numbers = ["TERM", "sigterm", "15", "KILL", "RTMIN+3", "RTMAX-1", "CLD"].map((text) =>
      parseSignal(text),
    );
    assert.deepEqual(numbers, [15, 15, 15, 9, 37, 63, 17]);
  });
  it("refuses others", () => {
    for (const text of ["", "0", "65", "NOPE", "RTMIN+16", "-9"]) {
      assert.throws(() => parseSignal(text), { message: `invalid signal: ${text}` });
    }
  });
});

describe("the signal that stops a container", () => {
  it("is TERM where an image's word means nothing, and none where no signal has the number", () => {
    const numbers = ["", "NOPE", "0", "INT", "9", "65", "-1"].map(parseStopSignal);
    assert.deepEqual(numbers, [15, 15, 15, 2, 9, undefined, undefined]);
  });
});

describe("names and IDs", () => {
  it("makes IDs that serve as host names", () => {
    for (let i = 0; i < 50; i++) assert.match(newId(), /^(?!\d{12})[0-9a-f]{64}$/);
  });
  it("takes Docker's names only", () => {
    assert.equal(parseContainerName("/a.b-c_1"), "a.b-c_1");
    for (const bad of ["a", "-a", "a b", "a/b", "ä1"]) {
      assert.throws(() => parseContainerName(bad), {
        kind: "invalid_argument",
        message: /^Invalid container name/,
      });
    }
  });
  it("generates names, with a digit after the first try", () => {
    assert.match(
      generateName(0, () => 0),
      /^[a-z]+_[a-z]+$/,
    );
    assert.match(
      generateName(1, () => 7),
      /^[a-z]+_[a-z]+7$/,
    );
    parseContainerName(generateName(0, (bound) => bound - 1));
  });
});

describe("detach keys", () => {
  it("reads Docker's syntax", () => {
    assert.deepEqual([...parseDetachKeys("")], [16, 17]);
    assert.deepEqual([...parseDetachKeys("ctrl-a,x,ctrl-@,ctrl-_")], [1, 120, 0, 31]);
  });
  it("refuses others", () => {
    for (const bad of ["ctrl-", "ab", "ctrl-ä", ",", "ctrl-1"]) {
      assert.throws(() => parseDetachKeys(bad), {
        message: `Invalid detach keys (${bad}) provided`,
      });
    }
  });
});

describe("restart policy", () => {
  const policy = (name: string, maximumRetryCount = 0) => ({
    $typeName: "gantry.container.v1.RestartPolicy" as const,
    name,
    maximumRetryCount,
  });
  const ended = (exitCode: number, more: object = {}) => ({
    exitCode,
    stoppedByUser: false,
    restartCount: 0,
    ...more,
  });
  it("decides by code, count and who stopped it", () => {
    assert.equal(wantsRestart(policy("no"), ended(1)), false);
    assert.equal(wantsRestart(policy("always"), ended(0)), true);
    assert.equal(wantsRestart(policy("always"), ended(0, { stoppedByUser: true })), false);
    assert.equal(wantsRestart(policy("on-failure"), ended(0)), false);
    assert.equal(wantsRestart(policy("on-failure"), ended(1, { restartCount: 99 })), true);
    assert.equal(wantsRestart(policy("on-failure", 2), ended(1, { restartCount: 2 })), false);
  });
  it("decides at the start of the engine", () => {
    const found = (more: object) => ({
      exitCode: 1,
      manuallyStopped: false,
      startedBefore: true,
      restartCount: 0,
      ...more,
    });
    assert.equal(wantsStartAtBoot(policy("always"), found({ manuallyStopped: true })), true);
    assert.equal(
      wantsStartAtBoot(policy("unless-stopped"), found({ manuallyStopped: true })),
      false,
    );
    assert.equal(wantsStartAtBoot(policy("always"), found({ startedBefore: false })), false);
    assert.equal(wantsStartAtBoot(policy("on-failure"), found({})), true);
    assert.equal(wantsStartAtBoot(policy("no"), found({})), false);
  });
  it("doubles its pauses up to a minute, and begins anew after a steady run", () => {
    assert.equal(nextPauseMs(0, 0), 100);
    assert.equal(nextPauseMs(100, 9999), 200);
    assert.equal(nextPauseMs(40_000, 0), 60_000);
    assert.equal(nextPauseMs(60_000, 10_000), 100);
  });
});

describe("health", () => {
  const rules = {
    intervalMs: 10,
    timeoutMs: 1,
    startPeriodMs: 100,
    startIntervalMs: 3,
    retries: 2,
  };
  const probe = (exitCode: number) => ({ startNano: 0n, endNano: 1n, exitCode, output: "" });
  it("becomes unhealthy after the retries and healthy by one success", () => {
    const once = afterProbe(startingHealth, probe(1), rules, false);
    assert.deepEqual([once.status, once.failingStreak], ["starting", 1]);
    const twice = afterProbe(once, probe(-1), rules, false);
    assert.deepEqual([twice.status, twice.failingStreak], ["unhealthy", 2]);
    const well = afterProbe(twice, probe(0), rules, false);
    assert.deepEqual([well.status, well.failingStreak], ["healthy", 0]);
  });
  it("does not count failures within the start period", () => {
    assert.equal(afterProbe(startingHealth, probe(1), rules, true).failingStreak, 0);
    assert.equal(nextProbeMs(startingHealth, rules, true), 3);
    assert.equal(nextProbeMs({ ...startingHealth, status: "healthy" }, rules, true), 10);
  });
  it("goes on with a pause where it was, and takes no clock's word for more than all of it", () => {
    const began = 5_000_000_000n;
    const left = [5000n, 5004n, 9000n, 4000n].map((atMs) =>
      restOfPauseMs(10, began, atMs * 1_000_000n),
    );
    assert.deepEqual(left, [10, 6, 0, 10]);
  });
  it("keeps five probes", () => {
    let health: Health = startingHealth;
    for (let i = 0; i < 8; i++) health = afterProbe(health, probe(i), rules, false);
    assert.deepEqual(
      health.log.map((each) => each.exitCode),
      [3, 4, 5, 6, 7],
    );
  });
  it("reads the check of a configuration with its defaults", () => {
    const check = healthCheckOf(
      create(ContainerConfigSchema, { healthcheck: { test: { values: ["CMD-SHELL", "x"] } } }),
    );
    assert.deepEqual(check?.command, ["/bin/sh", "-c", "x"]);
    assert.deepEqual(check.rules, {
      intervalMs: 30_000,
      timeoutMs: 30_000,
      startPeriodMs: 0,
      startIntervalMs: 5000,
      retries: 3,
    });
    const rare = create(ContainerConfigSchema, {
      healthcheck: { test: { values: ["CMD", "x"] }, intervalNs: 3_000_000_000_000_000n },
    });
    assert.equal(healthCheckOf(rare)?.rules.intervalMs, 2 ** 31 - 1, "what a timer can wait");
    assert.equal(
      healthCheckOf(create(ContainerConfigSchema, { healthcheck: { test: { values: ["NONE"] } } })),
      undefined,
    );
  });
});

describe("image configuration", () => {
  const image = parseImageConfig(
    Buffer.from(
      JSON.stringify({
        config: {
          Env: ["A=image", "B=image"],
          Cmd: ["cmd"],
          Entrypoint: ["entry"],
          ExposedPorts: { "80": {} },
          Labels: { from: "image", n: 5 },
          Volumes: { "/v": {} },
          User: "u",
          Healthcheck: { Test: ["CMD", "x"], Interval: 5 },
        },
      }),
    ),
  );
  const merge = (init: object) => mergeImageConfig(create(ContainerConfigSchema, init), image);
  it("fills what the container leaves open", () => {
    const merged = merge({ env: ["A=own"], labels: { own: "1" } });
    assert.deepEqual(merged.env, ["A=own", "B=image"]);
    assert.deepEqual(merged.labels, { from: "image", own: "1" });
    assert.deepEqual(merged.exposedPorts, ["80/tcp"]);
    assert.deepEqual(commandOf(merged), { path: "entry", args: ["cmd"] });
    assert.equal(merged.healthcheck?.intervalNs, 5n);
  });
  it("drops the image's command with an entry point of the container's own", () => {
    assert.deepEqual(commandOf(merge({ entrypoint: { values: ["own"] } })), {
      path: "own",
      args: [],
    });
    assert.deepEqual(commandOf(merge({ entrypoint: { values: [""] }, cmd: { values: ["x"] } })), {
      path: "x",
      args: [],
    });
    assert.equal(commandOf(merge({ entrypoint: { values: [] } })), undefined);
  });
  it("passes over what an image gets wrong", () => {
    const odd = parseImageConfig(
      Buffer.from(JSON.stringify({ config: { Env: "x", Labels: [], Cmd: [1] } })),
    );
    assert.deepEqual([odd.env, odd.labels, odd.cmd], [[], {}, undefined]);
  });
});

describe("log records", () => {
  const line = Buffer.from(
    '{"log":"hi\\n","stream":"stderr","attrs":{"b":"x y","a":"1"},"time":"2026-01-02T03:04:05.06Z"}',
  );
  it("shows time, attributes and text in Docker's order", () => {
    const record = parseLogLine(line);
    assert.ok(record);
    assert.equal(record.timeNano, 1_767_323_045_060_000_000n);
    assert.equal(
      showRecord(record, { timestamps: true, details: true }),
      "2026-01-02T03:04:05.060000000Z a=1,b=x%20y hi\n",
    );
    assert.equal(formatTime(record.timeNano), "2026-01-02T03:04:05.060000000Z");
  });
  it("frames as Docker does", () => {
    assert.deepEqual([...frame("stderr", "hé")], [2, 0, 0, 0, 0, 0, 0, 3, 0x68, 0xc3, 0xa9]);
  });
  it("takes nothing else for a record", () => {
    for (const bad of [
      "",
      "{}",
      '{"log":1,"time":"2026-01-02T03:04:05Z"}',
      '{"log":"x","time":"now"}',
      "[",
      "null",
    ]) {
      assert.equal(parseLogLine(Buffer.from(bad)), undefined);
    }
  });
});

it("keeps the rows of ps that belong to the container, blanks in commands included", () => {
  const output = "UID PID CMD\nroot 1 init\nroot 22 sleep 100  now\n";
  assert.deepEqual(filterProcesses(output, new Set([22])), {
    titles: ["UID", "PID", "CMD"],
    processes: [["root", "22", "sleep 100 now"]],
  });
  assert.throws(() => filterProcesses("A B\n1 2\n", new Set()), { message: /PID field/ });
});
