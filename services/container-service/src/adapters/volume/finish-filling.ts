/**
 * Copies for a volume in its folder, beside its files: under way, whole ones, and what tells that files were copied to
 * where they are, and not to the end.
 *
 *   fill-<pid>          under way
 *   fill-whole/         all of them
 *   fill-below/files    all of them, for a subpath
 *   fill-below/at       that subpath, as it was asked for
 *   half-filled         what was being copied to what is mounted on the volume
 */
import type { Stats } from "node:fs";
import { closeSync, constants, fchownSync, openSync } from "node:fs";
import {
  chmod,
  lstat,
  mkdir,
  readdir,
  readFile,
  rename,
  stat,
  utimes,
  writeFile,
} from "node:fs/promises";
import path from "node:path";
import { EngineError } from "@gantry/errors";
import { orNothing } from "@gantry/fs";
import { type PathKernel, removeTree } from "@gantry/native";
import { type FillTarget, openFillTarget } from "./fill-target.ts";

const fillPrefix = "fill-";
const wholeName = `${fillPrefix}whole`;
const belowName = `${fillPrefix}below`;

/** Whether a name in a volume's folder is of a copy. */
export function isFilling(name: string): boolean {
  return name.startsWith(fillPrefix);
}

/** Place of what tells that what is mounted on the volume was not filled to the end. */
export function halfFilledFile(folder: string): string {
  return path.join(folder, "half-filled");
}

/** A new copy in a volume's folder. */
export interface NewCopy {
  /** Where the files go. */
  readonly files: string;
  /** It is whole: from now on it is never lost. */
  complete(): Promise<void>;
  /** It is not wanted. */
  drop(): Promise<void>;
}

export async function openCopy(folder: string, subpath: string): Promise<NewCopy> {
  const copy = path.join(folder, `${fillPrefix}${String(process.pid)}`);
  const isBelow = subpath !== "";
  const files = isBelow ? path.join(copy, "files") : copy;
  await removeTree(copy);
  try {
    await mkdir(files, { mode: 0o700, recursive: true });
    if (isBelow) await writeFile(path.join(copy, "at"), subpath);
  } catch (error) {
    await removeTree(copy);
    throw error;
  }
  return {
    files,
    complete: () => rename(copy, path.join(folder, isBelow ? belowName : wholeName)),
    drop: () => removeTree(copy),
  };
}

/** Moves what whole copies in a volume's folder hold to where they belong. What is there already stays. */
export async function finishFilling(
  kernel: PathKernel,
  folder: string,
  volume: string,
): Promise<void> {
  const whole = path.join(folder, wholeName);
  const facts = await orNothing(stat(whole));
  if (facts !== undefined) {
    await moveInto(whole, facts, volume);
    await removeTree(whole);
  }
  const below = path.join(folder, belowName);
  const subpath = await orNothing(readFile(path.join(below, "at"), "utf8"));
  if (subpath === undefined) return;
  const files = path.join(below, "files");
  using target = await reopenFillTarget(kernel, volume, subpath);
  const left = await orNothing(stat(files));
  if (target !== undefined && left !== undefined) await moveInto(files, left, target.path);
  await removeTree(below);
}

/** A container may have put something else in its place meanwhile. */
async function reopenFillTarget(
  kernel: PathKernel,
  volume: string,
  subpath: string,
): Promise<FillTarget | undefined> {
  try {
    return await openFillTarget(kernel, volume, subpath);
  } catch (error) {
    if (error instanceof EngineError) return undefined;
    throw error;
  }
}

async function moveInto(from: string, facts: Stats, target: string): Promise<void> {
  for (const name of await readdir(from, { encoding: "buffer" })) {
    // Names need not be UTF-8.
    const to = Buffer.concat([Buffer.from(`${target}/`), name]);
    if ((await orNothing(lstat(to))) !== undefined) continue;
    await rename(Buffer.concat([Buffer.from(`${from}/`), name]), to);
  }
  await takeAttributes(target, facts);
}

/** Owner, mode and times of the directory itself. */
export async function takeAttributes(folder: string, facts: Stats): Promise<void> {
  const fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fchownSync(fd, facts.uid, facts.gid);
  } finally {
    closeSync(fd);
  }
  await chmod(folder, facts.mode & 0o7777);
  await utimes(folder, facts.atime, facts.mtime);
}

/** Whether the same was being copied to what is mounted on the volume, and not to the end. */
export async function isHalfFilled(folder: string, what: string): Promise<boolean> {
  return (await orNothing(readFile(halfFilledFile(folder), "utf8"))) === what;
}
