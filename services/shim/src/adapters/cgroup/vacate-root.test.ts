import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { describe, it } from "node:test";
import { eventually, hasEnded } from "@gantry/testkit";
import { parseCgroupLayout } from "../../compile/cgroup-layout.ts";
import { vacateRoot } from "./vacate-root.ts";

const top = parseCgroupLayout(readFileSync("/proc/self/mountinfo", "utf8"), "").v2?.mountPoint;

describe("a v2 cgroup that is to hand controllers down", {
  skip: top === undefined && "no cgroup v2 here",
}, () => {
  it("gives its processes to a child of its own, and is left alone when it has none", async () => {
    const folder = `${top ?? ""}/gantry-vacate-${process.pid}`;
    mkdirSync(folder);
    const children = [1, 2, 3].map(() => spawn("sleep", ["100"], { stdio: "ignore" }));
    const pids = children.map(({ pid }) => String(pid));
    const listed = (name: string): string[] =>
      readFileSync(`${folder}${name}/cgroup.procs`, "utf8").trim().split("\n").sort();
    try {
      vacateRoot(folder);
      assert.equal(existsSync(`${folder}/init`), false);
      for (const pid of pids) writeFileSync(`${folder}/cgroup.procs`, pid);
      vacateRoot(folder);
      assert.deepEqual(listed(""), [""]);
      assert.deepEqual(listed("/init"), pids.toSorted());
    } finally {
      for (const child of children) {
        child.kill("SIGKILL");
        await once(child, "close");
      }
      await eventually(() => pids.every((pid) => hasEnded(Number(pid))));
      if (existsSync(`${folder}/init`)) rmdirSync(`${folder}/init`);
      rmdirSync(folder);
    }
  });
});
