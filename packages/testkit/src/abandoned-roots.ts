/** Ends and removes all that a test's engine made, after the test's own process has died. */
import { existsSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { type EngineConfig, loadConfig } from "@gantry/config";
import { hasErrno } from "@gantry/errors";
import { eventually } from "./eventually.ts";
import { findHolders } from "./holders.ts";
import {
  cgroupFolders,
  findLeaks,
  leftProcesses,
  linksOf,
  mountsBelow,
  tablesNamed,
} from "./leaks.ts";
import { forgetRoots, type OwnedRoots } from "./roots-owner.ts";
import { mustRun, run } from "./run.ts";

const repository = path.resolve(import.meta.dirname, "../../..");

/**
 * Stops the engine as `npm stop` does, then takes away by force what is left. Throws when something cannot be
 * taken away; the folder is left in place then.
 */
export async function cleanAbandoned(owned: OwnedRoots): Promise<void> {
  const { root, env } = owned;
  if (existsSync(root)) await stopEngine(env);
  const { cgroupParent, linkPrefix, nftTable, instance } = namesOf(owned);
  if (instance === "" || cgroupParent !== `gantry-${instance}`) {
    throw new Error(`${root}: cgroup ${cgroupParent} may be somebody else's`);
  }
  await eventually(() => {
    kill(findHolders(root).map(({ pid }) => pid));
    return leftProcesses(root).length === 0;
  });
  for (const folder of cgroupFolders(cgroupParent)) await removeCgroup(folder);
  // The last mount lies on top.
  for (const point of mountsBelow(root).toReversed()) await mustRun(["umount", "--lazy", point]);
  for (const name of await linksOf(linkPrefix)) await run(["ip", "link", "delete", name]);
  for (const table of await tablesNamed(nftTable))
    await mustRun(["nft", "delete", ...table.split(" ")]);
  const left = await findLeaks({ root, cgroupParent, linkPrefix, nftTable });
  if (left.length > 0) throw new Error(`left of ${root}:\n${left.join("\n")}`);
  rmSync(root, { recursive: true, force: true });
  forgetRoots(root);
}

/** Names are of the environment alone; what stands in a test's daemon.json may be wrong on purpose. */
function namesOf({ root, env }: OwnedRoots): EngineConfig {
  return loadConfig({ ...env, GANTRY_CONFIG: path.join(root, "no-such-file") });
}

/** Only an engine with a supervisor can be stopped in order; its failure shows in what is left. */
async function stopEngine(env: OwnedRoots["env"]): Promise<void> {
  if (!existsSync(path.join(env["GANTRY_RUN_ROOT"] ?? "", "supervisor.lock"))) return;
  const ran = await run([process.execPath, path.join(repository, "scripts/stop.ts")], {
    env,
    cwd: repository,
  });
  process.stderr.write(ran.stdout + ran.stderr);
}

function kill(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, "SIGKILL");
    } catch (error) {
      if (!hasErrno(error, "ESRCH")) throw error;
    }
  }
}

/** Kills what is in a cgroup and those below it, and removes them. */
async function removeCgroup(folder: string): Promise<void> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) await removeCgroup(path.join(folder, entry.name));
  }
  const frozen = path.join(folder, "freezer.state");
  await eventually(() => {
    // On cgroup v1 a signal does not reach who is frozen.
    if (existsSync(frozen)) writeFileSync(frozen, "THAWED");
    kill(
      readFileSync(path.join(folder, "cgroup.procs"), "utf8")
        .split("\n")
        .filter(Boolean)
        .map(Number),
    );
    return isRemoved(folder);
  });
}

function isRemoved(folder: string): boolean {
  try {
    rmdirSync(folder);
    return true;
  } catch (error) {
    if (hasErrno(error, "EBUSY")) return false;
    throw error;
  }
}
