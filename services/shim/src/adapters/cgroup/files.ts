/** Files of cgroup directories. A directory that has gone reads as nothing. */
import { readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { hasErrno } from "@gantry/errors";

/** ENODEV comes for a file that was open while its directory was removed. */
export function isGone(error: unknown): boolean {
  return hasErrno(error, "ENOENT") || hasErrno(error, "ENODEV");
}

/** Text of a file, or undefined when it (or its directory) is not there, or is not to be read (a threaded cgroup's). */
export async function readText(...parts: string[]): Promise<string | undefined> {
  try {
    return await readFile(path.join(...parts), "utf8");
  } catch (error) {
    if (isGone(error) || hasErrno(error, "ENOTSUP")) return undefined;
    throw error;
  }
}

/** Writes to a file that exists; false when it does not. */
export async function writeText(file: string, value: string): Promise<boolean> {
  try {
    await writeFile(file, value, { flag: "r+" });
    return true;
  } catch (error) {
    if (isGone(error)) return false;
    throw error;
  }
}

/** Names of the directories in a directory. */
async function childFolders(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries
      .filter((entry) => entry.isDirectory())
      .map((entry) => path.join(folder, entry.name));
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

/** A directory and all below it, parents first. */
export async function subtree(folder: string): Promise<string[]> {
  const below = await Promise.all((await childFolders(folder)).map(subtree));
  return [folder, ...below.flat()];
}

/** Lines of `key value` as numbers. */
export function parseCounters(text: string | undefined): Map<string, bigint> {
  const counters = new Map<string, bigint>();
  for (const line of (text ?? "").split("\n")) {
    const [key, value] = line.split(" ");
    if (key !== undefined && value !== undefined && /^\d+$/.test(value))
      counters.set(key, BigInt(value));
  }
  return counters;
}

/** A file that holds one number; undefined for anything else (`max`, nothing). */
export function parseNumber(text: string | undefined): bigint | undefined {
  const word = text?.trim() ?? "";
  return /^\d+$/.test(word) ? BigInt(word) : undefined;
}
