/** What engines of tests have on the machine. Each test looks after its own; this finds what one forgot. */
import { globSync, readdirSync, readFileSync } from "node:fs";
import { run } from "@gantry/testkit/run";
import type { TestLine } from "./test-report.ts";

/** Names of links, nft tables, cgroups and mounts; instances of tests begin with a t (openEngineRoots of the testkit). */
export async function leftovers(): Promise<ReadonlySet<string>> {
  const links = readdirSync("/sys/class/net").filter((name) => name.startsWith("gtryt"));
  const tables = (await run(["nft", "list", "tables"])).stdout
    .split("\n")
    .filter((line) => line.includes(" gantry_t"));
  const cgroups = globSync("/sys/fs/cgroup/{,*/}gantry-t*");
  const mounts = readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[1] ?? "")
    .filter((target) => target.startsWith("/tmp/gantry-t-"));
  return new Set([...links, ...tables, ...cgroups, ...mounts]);
}

/** The result of a whole run: nothing may be there that was not there `before`. */
export async function checkLeftovers(before: ReadonlySet<string>): Promise<TestLine> {
  const left = [...(await leftovers())].filter((each) => !before.has(each));
  const test = { file: "scripts/lib/leftovers.ts", name: "the tests leave nothing on the machine" };
  return left.length === 0
    ? { ...test, result: "passed", reason: "" }
    : { ...test, result: "failed", reason: left.join("\n") };
}
