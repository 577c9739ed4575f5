/**
 * Freezing and killing. Where the machine has v2 (also beside v1), its freezer is used: a task
 * frozen by it can still be killed. In v1's freezer it cannot, so it is thawed first.
 */
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { deadlineExceeded, hasErrno, notFound } from "@gantry/errors";
import { type CgroupLayout, hierarchyPath, v1With } from "../../compile/cgroup-layout.ts";
import { isGone, parseCounters, readText, subtree, writeText } from "./files.ts";

const freezeTimeoutMs = 10_000;

/** v1 has no notice of these states, and v2's comes no sooner: look again after 1, 2, 4 … 32 ms. */
async function until(check: () => Promise<boolean>, deadlineMs: number): Promise<boolean> {
  const end = performance.now() + deadlineMs;
  for (let waitMs = 1; ; waitMs = Math.min(waitMs * 2, 32)) {
    if (await check()) return true;
    if (performance.now() >= end) return false;
    await pause(waitMs);
  }
}

/** The directory whose files say who is in the container: v2's where it is used, else one of v1. */
export async function mainFolder(
  layout: CgroupLayout,
  cgroupPath: string,
): Promise<string | undefined> {
  const candidates = [layout.v2, v1With(layout, "freezer"), ...layout.v1];
  for (const hierarchy of candidates) {
    if (hierarchy === undefined) continue;
    const folder = hierarchyPath(hierarchy, cgroupPath);
    if ((await readText(folder, "cgroup.procs")) !== undefined) return folder;
  }
  return undefined;
}

export async function pidsBelow(folder: string): Promise<number[]> {
  const texts = await Promise.all(
    (await subtree(folder)).map((each) => readText(each, "cgroup.procs")),
  );
  return texts.flatMap((text) =>
    (text ?? "")
      .split("\n")
      .filter((line) => line !== "")
      .map(Number),
  );
}

/** Where freezing happens and in which words. */
interface Freezer {
  readonly folder: string;
  readonly file: string;
  readonly frozen: string;
  readonly thawed: string;
  /** Whether every task is frozen; undefined when the cgroup has gone. */
  isFrozen(): Promise<boolean | undefined>;
}

async function freezerOf(layout: CgroupLayout, cgroupPath: string): Promise<Freezer | undefined> {
  if (layout.v2 !== undefined) {
    const folder = hierarchyPath(layout.v2, cgroupPath);
    if ((await readText(folder, "cgroup.freeze")) !== undefined) return freezerV2(folder);
  }
  const v1 = v1With(layout, "freezer");
  return v1 === undefined ? undefined : freezerV1(hierarchyPath(v1, cgroupPath));
}

function freezerV2(folder: string): Freezer {
  const isFrozen = async (): Promise<boolean | undefined> => {
    const events = await readText(folder, "cgroup.events");
    return events === undefined ? undefined : parseCounters(events).get("frozen") === 1n;
  };
  return { folder, file: "cgroup.freeze", frozen: "1", thawed: "0", isFrozen };
}

function freezerV1(folder: string): Freezer {
  const isFrozen = async (): Promise<boolean | undefined> => {
    const state = (await readText(folder, "freezer.state"))?.trim();
    if (state === undefined) return undefined;
    // A task that forks while it is being frozen can be missed: FREEZING is asked for again.
    if (state === "FREEZING") await writeText(path.join(folder, "freezer.state"), "FROZEN");
    return state === "FROZEN";
  };
  return { folder, file: "freezer.state", frozen: "FROZEN", thawed: "THAWED", isFrozen };
}

export async function freeze(layout: CgroupLayout, cgroupPath: string): Promise<void> {
  const freezer = await freezerOf(layout, cgroupPath);
  if (freezer === undefined) throw deadlineExceeded(`cgroup ${cgroupPath} cannot be frozen`);
  const file = path.join(freezer.folder, freezer.file);
  await writeText(file, freezer.frozen);
  const settled = async (): Promise<boolean> => {
    const isFrozen = await freezer.isFrozen();
    if (isFrozen === undefined) throw notFound("cgroup", cgroupPath);
    return isFrozen;
  };
  if (await until(settled, freezeTimeoutMs)) return;
  await writeText(file, freezer.thawed);
  throw deadlineExceeded(`cgroup ${cgroupPath} could not be frozen`);
}

export async function thaw(layout: CgroupLayout, cgroupPath: string): Promise<void> {
  // Whatever froze it: a container may have been frozen in v1 by somebody else.
  const v1 = v1With(layout, "freezer");
  if (v1 !== undefined)
    await writeText(path.join(hierarchyPath(v1, cgroupPath), "freezer.state"), "THAWED");
  if (layout.v2 === undefined) return;
  await writeText(path.join(hierarchyPath(layout.v2, cgroupPath), "cgroup.freeze"), "0");
}

export async function isFrozen(layout: CgroupLayout, cgroupPath: string): Promise<boolean> {
  return (await (await freezerOf(layout, cgroupPath))?.isFrozen()) ?? false;
}

/** One round of SIGKILL to everything there is. */
function killEach(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, "SIGKILL");
    } catch (error) {
      if (!hasErrno(error, "ESRCH")) throw error;
    }
  }
}

export async function killAll(
  layout: CgroupLayout,
  cgroupPath: string,
  deadlineMs: number,
): Promise<number[]> {
  const folder = await mainFolder(layout, cgroupPath);
  if (folder === undefined) return [];
  const byKernel = await killByKernel(folder);
  if (!byKernel) {
    // While nothing can fork, one round reaches all.
    await freezeForKill(layout, cgroupPath);
    killEach(await pidsBelow(folder));
  }
  await thaw(layout, cgroupPath);
  const empty = async (): Promise<boolean> => {
    const left = await pidsBelow(folder);
    if (left.length > 0 && !byKernel) killEach(left);
    return left.length === 0;
  };
  return (await until(empty, deadlineMs)) ? [] : await pidsBelow(folder);
}

/** cgroup.kill kills the whole subtree at once (v2, kernel 5.14). */
async function killByKernel(folder: string): Promise<boolean> {
  return await writeText(path.join(folder, "cgroup.kill"), "1");
}

async function freezeForKill(layout: CgroupLayout, cgroupPath: string): Promise<void> {
  try {
    await freeze(layout, cgroupPath);
  } catch (error) {
    // A task in the kernel's depths cannot be frozen; it may die all the same.
    if (!isGone(error) && !(error instanceof Error && "kind" in error)) throw error;
  }
}
