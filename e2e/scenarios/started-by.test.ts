/** What an engine takes over of who starts it: nothing that a container, or who looks into its files, would notice. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { TestEngine } from "@gantry/testkit/test-engine";

/** Of who wants his own files read by nobody. */
const umask = 0o077;

/** Of a careful host; where root has no CAP_SYS_RESOURCE nobody may have more again. */
const openFiles = "512:512";

let engine: TestEngine;
before(async () => {
  process.umask(umask);
  execFileSync("prlimit", ["--pid", String(process.pid), `--nofile=${openFiles}`]);
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

/** Looked at by a user without rights. */
const asUser = (args: readonly string[], script: string): Promise<string> =>
  engine.docker(["run", "--rm", "-u", "1000", ...args, "sh", "-c", script]);

describe("an engine whose starter may open few files, and lets nobody read his", () => {
  it("lets a container's users read what is made for them", async () => {
    const binds = ["-v", "named:/named", "-v", "/nameless", "-v", `${engine.root}/made:/bound`];
    const files = "/etc/hosts /etc/hostname /etc/resolv.conf";
    const shown = await asUser(
      [...binds, "-w", "/new/work", "busybox"],
      `cat ${files} > /dev/null && stat -c "%n %a" /named /nameless /bound /new /new/work ${files}`,
    );
    assert.deepEqual(shown.split("\n"), [
      "/named 755",
      "/nameless 755",
      "/bound 755",
      "/new 755",
      "/new/work 755",
      "/etc/hosts 644",
      "/etc/hostname 644",
      "/etc/resolv.conf 644",
    ]);
  });

  it("builds, copies and commits files with the modes that they have elsewhere", async () => {
    const context = path.join(engine.root, "context");
    mkdirSync(context);
    writeFileSync(path.join(context, "file"), "content");
    chmodSync(path.join(context, "file"), 0o640);
    writeFileSync(
      path.join(context, "Dockerfile"),
      "FROM busybox\nWORKDIR /work/here\nCOPY file /copied/below/\nADD file /added/file\nRUN mkdir /ran\n",
    );
    const shownDirs = "/work /work/here /copied /copied/below /added /ran";
    const look = ["sh", "-c", `stat -c "%n %a" ${shownDirs} /copied/below/file /added/file`];
    const expected = [
      ...shownDirs.split(" ").map((name) => `${name} 755`),
      "/copied/below/file 640",
      "/added/file 640",
    ];
    await engine.docker(["build", "-q", "-t", "built", context]);
    assert.deepEqual(
      (await engine.docker(["run", "--rm", "built", ...look])).split("\n"),
      expected,
    );
    await engine.docker(["run", "--name", "made", "built", "mkdir", "/later"]);
    await engine.docker(["cp", path.join(context, "file"), "made:/later/file"]);
    await engine.docker(["commit", "made", "committed"]);
    const later = await engine.docker([
      "run",
      "--rm",
      "committed",
      "stat",
      "-c",
      "%a",
      "/later",
      "/later/file",
    ]);
    assert.equal(later, "755\n640");
  });
});
