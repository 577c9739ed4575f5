/**
 * Who uses a folder: processes with an open file or a socket below it. Asked of descriptors alone, never of
 * `cmdline` or `environ`: reading those waits for the memory map of the process, and one that writes to a mapped
 * file of a frozen disk holds its map for as long as the disk is frozen. A stranger's disk must not stop us.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { hasErrno } from "@gantry/errors";

/** A process that uses the folder. */
export interface Holder {
  readonly pid: number;
  /** Path of its program; a program without a file is `/memfd:<name> (deleted)`. */
  readonly program: string;
  /** The first file or socket found. */
  readonly file: string;
}

/** Finds the processes, our own left out, that hold something at or below one of the paths. */
export function findHolders(...roots: readonly string[]): Holder[] {
  const isBelow = (file: string): boolean =>
    roots.some((root) => file === root || file.startsWith(`${root}/`));
  const sockets = socketsBelow(isBelow);
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      const file = openFiles(pid)
        .map((target) => sockets.get(target) ?? target)
        .find(isBelow);
      if (file === undefined) return [];
      const program = ifVisible(() => readlinkSync(`/proc/${pid}/exe`)) ?? "";
      return [{ pid: Number(pid), program, file }];
    });
}

/** What a process's descriptors point to. */
function openFiles(pid: string): string[] {
  const folder = `/proc/${pid}/fd`;
  const descriptors = ifVisible(() => readdirSync(folder)) ?? [];
  return descriptors.flatMap((fd) => ifVisible(() => readlinkSync(`${folder}/${fd}`)) ?? []);
}

/** Paths of sockets, by what a descriptor of one points to. */
function socketsBelow(isBelow: (file: string) => boolean): ReadonlyMap<string, string> {
  const [, ...lines] = readFileSync("/proc/net/unix", "utf8").split("\n");
  const found = lines.flatMap((line) => {
    const [, , , , , , inode = "", ...words] = line.trim().split(/\s+/);
    const file = words.join(" ");
    return isBelow(file) ? [[`socket:[${inode}]`, file] as const] : [];
  });
  return new Map(found);
}

/**
 * A process ends, and a busy one closes descriptors, while we look. Whose descriptors not even root may see (EACCES:
 * it has rights or a user namespace that we are outside of) was not started by an engine of ours.
 */
function ifVisible<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (hasErrno(error, "ENOENT") || hasErrno(error, "ESRCH") || hasErrno(error, "EACCES"))
      return undefined;
    throw error;
  }
}
