/** What engines of tests have on the machine that nobody takes care of any more. */
import { globSync, readdirSync, readFileSync } from "node:fs";
import { complain, say } from "@gantry/logging";
import { cleanAbandoned } from "@gantry/testkit/abandoned-roots";
import { eventually } from "@gantry/testkit/eventually";
import { isLinkOf } from "@gantry/testkit/leaks";
import { caretakerOf, listRoots, type OwnedRoots, rootsPrefix } from "@gantry/testkit/roots-owner";
import { mustRun } from "@gantry/testkit/run";
import type { TestLine } from "./test-report.ts";

/** Names of links, nft tables, cgroups, mounts and folders; instances of tests begin with a t (openEngineRoots of the testkit). */
export async function leftovers(): Promise<ReadonlySet<string>> {
  const cared = listRoots().filter(({ root }) => caretakerOf(root) !== "nobody");
  const isCared = (name: string): boolean =>
    cared.some(({ root, env }) => nameIsOf(name, root, env["GANTRY_INSTANCE"] ?? ""));
  const links = readdirSync("/sys/class/net").filter((name) => name.startsWith("gtryt"));
  const tables = (await mustRun(["nft", "list", "tables"])).stdout
    .split("\n")
    .filter((line) => line.includes(" gantry_t"));
  const cgroups = globSync("/sys/fs/cgroup/{,*/}gantry-t*");
  const mounts = readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[1] ?? "")
    .filter((target) => target.startsWith(rootsPrefix));
  // Clients' folders are in the roots of their engine; those that a client makes elsewhere stay when it is killed.
  const folders = globSync([`${rootsPrefix}*`, "/tmp/dockerfile*", "/tmp/empty-dir*"]);
  const all = [...links, ...tables, ...cgroups, ...mounts, ...folders];
  return new Set(all.filter((name) => !isCared(name)));
}

/** Whether a link, an nft table, a cgroup, or something at or below the folder belongs to these roots. */
function nameIsOf(name: string, root: string, instance: string): boolean {
  const isBelow = name === root || name.startsWith(`${root}.`) || name.startsWith(`${root}/`);
  const isNamed = name.endsWith(` gantry_${instance}`) || name.endsWith(`/gantry-${instance}`);
  return isBelow || isNamed || isLinkOf(`gtry${instance}`, name);
}

/**
 * Takes away what tests left that were killed together with their keepers, and tells of it. What has no owner's
 * file was made by something else, and is only told.
 */
export async function cleanLeftovers(): Promise<void> {
  for (const owned of listRoots()) if (caretakerOf(owned.root) === "nobody") await clean(owned);
  for (const name of await leftovers()) complain(`not ours to remove: ${name}`);
}

async function clean(owned: OwnedRoots): Promise<void> {
  say(`cleaning up after tests that were killed: ${owned.root}`);
  await cleanAbandoned(owned).catch((error: unknown) => {
    complain(String(error));
  });
}

/** Keepers of tests that broke may still be at work. */
const keepersTimeoutMs = 120_000;

/** The result of a whole run: nothing may be there that was not there `before`. */
export async function checkLeftovers(before: ReadonlySet<string>): Promise<TestLine> {
  const test = { file: "scripts/lib/leftovers.ts", name: "the tests leave nothing on the machine" };
  try {
    await eventually(() => listRoots().every(({ root }) => caretakerOf(root) !== "keeper"), {
      timeoutMs: keepersTimeoutMs,
      intervalMs: 200,
    });
  } catch {
    return { ...test, result: "failed", reason: "a keeper of a test's engine does not end" };
  }
  const left = [...(await leftovers())].filter((each) => !before.has(each));
  return left.length === 0
    ? { ...test, result: "passed", reason: "" }
    : { ...test, result: "failed", reason: left.join("\n") };
}
