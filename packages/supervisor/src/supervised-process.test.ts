import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, symlinkSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { openTempDir } from "@gantry/fs";
import { silentLogger } from "@gantry/logging";
import { eventually, leftProcesses } from "@gantry/testkit";
import { isAlive, loadRecord } from "./process-record.ts";
import { SupervisedProcess } from "./supervised-process.ts";

/** Supervises a program in the folder of the first argument, and is killed as many turns after its spawn as the second says. */
const supervisor = `
  import { silentLogger } from ${JSON.stringify(import.meta.resolve("@gantry/logging"))};
  import { SupervisedProcess } from ${JSON.stringify(import.meta.resolve("./supervised-process.ts"))};
  const [folder, turns] = process.argv.slice(1);
  const die = (left) => left === 0 ? process.kill(process.pid, "SIGKILL") : setImmediate(die, left - 1);
  const program = {
    name: "sleeper",
    command() { setImmediate(die, Number(turns)); return [process.execPath, "-e", "console.log(1); setInterval(() => 1, 1e6)", folder]; },
    env: {}, probe: () => new Promise(() => undefined), stopTimeoutMs: 1000,
  };
  await new SupervisedProcess({ program, logger: silentLogger(), dataRoot: folder, recordDir: folder + "/records" }).start();
`;

function logOf(folder: string): string {
  return readFileSync(path.join(folder, "log", "sleeper.log"), "utf8");
}

describe("a program that cannot be noted", () => {
  for (const turns of [0, 1, 2, 4, 8, 16, 32]) {
    it(`does not run when its supervisor is killed ${String(turns)} turns after its spawn`, async () => {
      await using folder = await openTempDir("gantry-supervised-");
      const args = ["--disable-warning=ExperimentalWarning", "--input-type=module-typescript"];
      const killed = spawn(
        process.execPath,
        [...args, "-e", supervisor, folder.path, String(turns)],
        { stdio: ["ignore", "inherit", "inherit"] },
      );
      const [, signal] = (await once(killed, "close")) as [null, string];
      assert.equal(signal, "SIGKILL");
      const record = loadRecord(path.join(folder.path, "records"), "sleeper");
      if (record !== undefined && isAlive(record)) process.kill(record.pid, "SIGKILL");
      await eventually(() => {
        assert.deepEqual(leftProcesses(folder.path), []);
        return true;
      });
      if (record === undefined) {
        assert.equal(logOf(folder.path), "");
      }
    });
  }

  it("does not run when its record cannot be written, and the start fails", async () => {
    await using folder = await openTempDir("gantry-supervised-");
    const recordDir = path.join(folder.path, "records");
    symlinkSync("nowhere", recordDir);
    const program = {
      name: "sleeper",
      command: () => ["/bin/sh", "-c", "echo begun"],
      env: {},
      probe: () => Promise.reject(new Error("is not there")),
      stopTimeoutMs: 1000,
    };
    const supervised = new SupervisedProcess({
      ...{ program, recordDir, dataRoot: folder.path },
      logger: silentLogger(),
    });
    await assert.rejects(supervised.start());
    await supervised.stop();
    assert.equal(logOf(folder.path), "");
  });
});

describe("a program that keeps ending before it is ready", () => {
  for (const [what, last, told] of [
    ["its reason", `{"level":"fatal","pid":'$$',"err":{"message":"no room"}}`, ": no room"],
    ["no other's reason", `{"level":"fatal","pid":1,"err":{"message":"of another"}}`, ""],
    ["no half of a reason", `{"level":"fatal","pid":'$$',"err`, ""],
  ] as const) {
    it(`fails the start, which tells ${what}`, async () => {
      await using folder = await openTempDir("gantry-supervised-");
      const program = {
        name: "sleeper",
        command: () => ["/bin/sh", "-c", `echo '${last}' >&2; echo stack >&2; exit 1`],
        env: {},
        probe: () => Promise.reject(new Error("is not there")),
        stopTimeoutMs: 1000,
      };
      const supervised = new SupervisedProcess({
        ...{ program, recordDir: path.join(folder.path, "records"), dataRoot: folder.path },
        logger: silentLogger(),
      });
      const message = `sleeper ends before it is ready${told}`;
      await assert.rejects(supervised.start(), { kind: "unavailable", message });
      await supervised.stop();
      assert.equal(logOf(folder.path).match(/^stack$/gm)?.length, 5);
    });
  }
});

describe("a program that is started when it is wanted", () => {
  it("is not started for ever when it ends before it is ready, and whoever wants it is told", async () => {
    await using folder = await openTempDir("gantry-supervised-");
    const begun = path.join(folder.path, "begun");
    const program = {
      name: "sleeper",
      command: () => ["/bin/sh", "-c", `echo begun >> ${begun}; exit 1`],
      env: {},
      probe: () => Promise.reject(new Error("is not there")),
      stopTimeoutMs: 1000,
      endsByItself: true,
    };
    const supervised = new SupervisedProcess({
      ...{ program, recordDir: path.join(folder.path, "records"), dataRoot: folder.path },
      logger: silentLogger(),
    });
    await assert.rejects(supervised.ensure(), { kind: "unavailable" });
    const starts = readFileSync(begun, "utf8");
    assert.equal(starts, "begun\n".repeat(3));
    await assert.rejects(supervised.ensure(), { kind: "unavailable" });
    assert.equal(readFileSync(begun, "utf8"), starts.repeat(2));
    await supervised.stop();
  });
});
