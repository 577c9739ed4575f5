/** A disk that does not answer, a frozen shim process, a start that hangs: lists and inspect answer all the same. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { type LoopFilesystem, openLoopFilesystem } from "@gantry/testkit/loop-filesystem";
import { TestEngine } from "@gantry/testkit/test-engine";
import { untilPasses } from "@gantry/testkit/until-passes";
import { ask } from "../src/http.ts";

const mebibyte = 2 ** 20;
/** What a list may take; half of the answers, since the machine has other work as well. */
const answerMs = 50;
const questions = 40;

let disk: LoopFilesystem;
let engine: TestEngine;
before(async () => {
  disk = await openLoopFilesystem(256 * mebibyte);
  engine = await TestEngine.start({ env: { GANTRY_DATA_ROOT: path.join(disk.path, "data") } });
});
after(async () => {
  await disk.thaw();
  await engine[Symbol.asyncDispose]();
  await disk[Symbol.asyncDispose]();
});

/** Asks for list and inspect again and again; every answer has to come, and in time. */
async function answersStayQuick(id: string): Promise<void> {
  const times: number[] = [];
  for (let index = 0; index < questions; index++) {
    for (const url of ["/containers/json?all=1", `/containers/${id}/json`, `/containers/json`]) {
      const begun = performance.now();
      const answer = await ask(engine, { path: url });
      times.push(performance.now() - begun);
      assert.equal(answer.status, 200, answer.body);
    }
  }
  times.sort((one, other) => one - other);
  const median = times[Math.floor(times.length / 2)] ?? Number.POSITIVE_INFINITY;
  const slowest = times.at(-1) ?? Number.POSITIVE_INFINITY;
  assert.ok(median <= answerMs, `the median of the answers took ${median.toFixed(1)} ms`);
  assert.ok(slowest <= 20 * answerMs, `the slowest answer took ${slowest.toFixed(1)} ms`);
}

async function dieCodes(id: string): Promise<string> {
  const until = String(Math.ceil(Date.now() / 1000) + 1);
  const filters = ["--filter", `container=${id}`, "--filter", "event=die"];
  const format = ["--format", "{{.Actor.Attributes.exitCode}}"];
  return await engine.docker(["events", "--since", "0", "--until", until, ...filters, ...format]);
}

describe("while the disk of all data is frozen", () => {
  it("lists and inspect answer, and all that was asked for meanwhile is done after", async () => {
    const idle = await engine.docker(["run", "-d", "busybox", "sleep", "1000"]);
    const ending = await engine.docker(["run", "-d", "-i", "busybox", "sh", "-c", "exit 7"]);
    const stopping = await engine.docker(["run", "-d", "busybox", "sleep", "1000"]);
    const created = await engine.docker(["create", "busybox", "sh", "-c", "exit 9"]);
    await engine.docker(["wait", ending]);
    await disk.freeze();
    const work = Promise.all([
      engine.docker(["start", created]),
      engine.docker(["start", ending]),
      engine.docker(["stop", "-t", "0", stopping]),
      engine.docker(["run", "-d", "--name", "late", "busybox", "sleep", "1000"]),
      engine.docker(["rename", idle, "other"]),
      engine.docker(["exec", idle, "true"]),
      ...Array.from({ length: 6 }, () => engine.docker(["create", "busybox", "true"])),
    ]);
    try {
      await answersStayQuick(idle);
      // A name is changed on disk first.
      assert.notEqual(await engine.docker(["inspect", "-f", "{{.Name}}", idle]), "/other");
    } finally {
      await disk.thaw();
    }
    await work;
    assert.equal(await engine.docker(["inspect", "-f", "{{.Name}}", idle]), "/other");
    assert.equal(await engine.docker(["wait", created]), "9");
    assert.equal(await engine.docker(["wait", ending]), "7");
    assert.equal(await dieCodes(created), "9");
    assert.equal(await dieCodes(ending), "7\n7");
    assert.equal(await dieCodes(stopping), "137");
    const ids = (await engine.docker(["ps", "-aq"])).split("\n");
    assert.equal(ids.length, 11);
    await engine.docker(["rm", "-f", ...ids]);
  });
});

describe("while a shim process is frozen", () => {
  it("lists and inspect answer, and stop kills its container in the end", async () => {
    const id = await engine.docker(["run", "-d", "busybox", "sleep", "1000"]);
    const other = await engine.docker(["run", "-d", "busybox", "sleep", "1000"]);
    const pid = await engine.docker(["inspect", "-f", "{{.State.Pid}}", id]);
    const shim = Number(
      (await readFile(`/proc/${pid}/stat`, "utf8")).split(") ")[1]?.split(" ")[1],
    );
    process.kill(shim, "SIGSTOP");
    const hanging = engine.tryDocker(["exec", id, "true"]);
    await answersStayQuick(id);
    await engine.docker(["exec", other, "true"]);
    await engine.docker(["rm", "-f", other]);
    process.kill(shim, "SIGCONT");
    assert.equal((await hanging).code, 0);
    await engine.docker(["rm", "-f", id]);
  });
});

describe("while a start hangs", () => {
  it("lists and inspect answer, and a removal by force ends it", async () => {
    const id = await engine.docker(["create", "busybox", "sleep", "1000"]);
    const starting = engine.tryDocker(["start", id]);
    await freezeShimOf(id);
    await answersStayQuick(id);
    await engine.docker(["rm", "-f", id]);
    // Whether it had been too quick for us or not: it has come to an end.
    await starting;
    assert.equal(await engine.docker(["ps", "-aq"]), "");
  });
});

/** Freezes the shim process of a container as soon as it is there. */
async function freezeShimOf(id: string): Promise<void> {
  await untilPasses(
    async () => {
      const record = await readFile(path.join(engine.runRoot, "c", id, "shim.json"), "utf8");
      process.kill((JSON.parse(record) as { shimPid: number }).shimPid, "SIGSTOP");
    },
    { intervalMs: 1 },
  );
}
