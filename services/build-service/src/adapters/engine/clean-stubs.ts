/**
 * What a container's mounts left in its upper directory: empty files and directories that stood below
 * them. They are no part of a step's result.
 */
import { readdirSync, rmdirSync, type Stats, unlinkSync } from "node:fs";
import { hasErrno } from "@gantry/errors";
import { statOf } from "../files/in-root.ts";

/** Mount points of every container. */
const standard = [
  ...["/etc/resolv.conf", "/etc/hostname", "/etc/hosts"],
  ...["/dev/pts", "/dev/shm", "/dev/mqueue", "/dev", "/proc", "/sys/fs/cgroup", "/sys"],
  ...["/run/secrets", "/run/buildkit"],
];

interface Trees {
  readonly upperDir: string;
  /** Uppermost first. */
  readonly lowerDirs: readonly string[];
}

/** @param targets further mount points */
export function cleanStubs(trees: Trees, targets: readonly string[] = []): void {
  for (const target of [...targets, ...standard]) {
    const segments = target.split("/").filter((segment) => segment !== "");
    for (let count = segments.length; count > 0; count -= 1) {
      if (!cleanOne(trees, segments.slice(0, count))) break;
    }
  }
}

/** False when something stays. */
function cleanOne({ upperDir, lowerDirs }: Trees, segments: readonly string[]): boolean {
  for (let count = 1; count < segments.length; count += 1) {
    const parent = statOf(`${upperDir}/${segments.slice(0, count).join("/")}`);
    if (parent?.isDirectory() !== true) return parent === undefined;
  }
  const name = segments.join("/");
  const path = `${upperDir}/${name}`;
  const stat = statOf(path);
  if (stat === undefined) return true;
  const below = lowerDirs.map((dir) => statOf(`${dir}/${name}`)).find((each) => each !== undefined);
  if (stat.isFile() && stat.size === 0 && below === undefined) {
    unlinkSync(path);
    return true;
  }
  if (!stat.isDirectory() || (below !== undefined && !isSame(stat, below))) return false;
  return removeEmpty(path);
}

/** A directory that overlay copied up only to hold something. */
function isSame(upper: Stats, lower: Stats): boolean {
  return (
    lower.isDirectory() &&
    upper.mode === lower.mode &&
    upper.uid === lower.uid &&
    upper.gid === lower.gid
  );
}

function removeEmpty(path: string): boolean {
  if (readdirSync(path).length > 0) return false;
  try {
    rmdirSync(path);
    return true;
  } catch (error) {
    if (hasErrno(error, "ENOTEMPTY")) return false;
    throw error;
  }
}
