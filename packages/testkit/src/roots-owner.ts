/**
 * Whose the roots of a test are, and what becomes of them when the test's process dies, however it dies: killed, timed
 * out, or ended by node:test in the middle of a hook.
 *
 *   /tmp/gantry-t-x          the roots
 *   /tmp/gantry-t-x.owner    their environment; the test's process holds it open
 *   /tmp/gantry-t-x.keeper   what their keeper says; the keeper holds it open
 *
 * The keeper sleeps until the owner is gone without having closed the roots, and cleans up then (abandoned-roots.ts).
 * Who kills both leaves files that nobody holds, and the next `npm test` cleans up.
 */
import { closeSync, globSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import path from "node:path";
import { hasErrno } from "@gantry/errors";
import { findHolders } from "./holders.ts";
import { leaveWill } from "./last-will.ts";

/** First letters of the roots of all tests. */
export const rootsPrefix = "/tmp/gantry-t-";

/** Files beside the roots. */
export const ownerFile = (root: string): string => `${root}.owner`;
export const keeperFile = (root: string): string => `${root}.keeper`;

/** What an owner's file says. */
export interface OwnedRoots {
  readonly root: string;
  /** The environment of the engine's processes. */
  readonly env: Readonly<Record<string, string>>;
}

/** Declares this process the owner. Dispose when the roots are gone. */
export async function ownRoots(owned: OwnedRoots): Promise<AsyncDisposable> {
  const { root } = owned;
  // A bare descriptor: a handle would be closed when nothing refers to it any more.
  const owner = openSync(ownerFile(root), "wx", 0o600);
  writeSync(owner, JSON.stringify(owned));
  const log = openSync(keeperFile(root), "wx", 0o600);
  const keeper = path.join(import.meta.dirname, "keeper.ts");
  const will = await leaveWill([process.execPath, keeper, root], log);
  closeSync(log);
  return {
    async [Symbol.asyncDispose]() {
      await will[Symbol.asyncDispose]();
      closeSync(owner);
      forgetRoots(root);
    },
  };
}

/** Removes the files beside the roots. */
export function forgetRoots(root: string): void {
  for (const file of [keeperFile(root), ownerFile(root)]) rmSync(file, { force: true });
}

/** Roots of all tests on this machine, whoever takes care of them. */
export function listRoots(): readonly OwnedRoots[] {
  return globSync(ownerFile(`${rootsPrefix}*`)).flatMap((file) => {
    const text = textOf(file);
    // Its owner is just writing it.
    return text === "" ? [] : [JSON.parse(text) as OwnedRoots];
  });
}

/** Empty when its owner has just removed it. */
function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return "";
    throw error;
  }
}

/** Who takes care of roots now. */
export function caretakerOf(root: string): "owner" | "keeper" | "nobody" {
  if (findHolders(ownerFile(root)).length > 0) return "owner";
  return findHolders(keeperFile(root)).length > 0 ? "keeper" : "nobody";
}
