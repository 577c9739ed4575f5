/**
 *   snapshots/<n>/fs       the tree: a layer's files, or a container's own
 *   snapshots/<n>/work     overlay's work directory, of writable ones
 *   snapshots/<n>/merged   where a container's file system may be mounted
 *   snapshots/empty        stands below a view without parent
 *   snapshots/base         stands below all layers of a container
 *   snapshots/.trash/…     what is being deleted, or was found at start-up without a row
 */

import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { lstat, opendir } from "node:fs/promises";
import path from "node:path";
import { hasErrno } from "@gantry/errors";
import type { Logger } from "@gantry/logging";
import type { SnapshotDirs } from "../../ports/snapshot-dirs.ts";
import { Trash } from "../trash.ts";

export interface SnapshotDirsOptions {
  readonly dataDir: string;
  /** Numbers that rows know. */
  readonly owned: ReadonlySet<number>;
  readonly logger: Logger;
  /** syncfs(2) of the file system that holds a folder. */
  readonly syncFileSystem: (folder: string) => Promise<void>;
}

/**
 * Opens the folders. Folders that `owned` does not know go to the trash, from where they are deleted
 * after a day.
 */
export function openSnapshotDirs(options: SnapshotDirsOptions): SnapshotDirs {
  const { logger, owned } = options;
  const root = path.join(options.dataDir, "snapshots");
  mkdirSync(root, { recursive: true, mode: 0o700 });
  chmodSync(root, 0o700);
  mkdirSync(path.join(root, "empty"), { recursive: true, mode: 0o755 });
  makeBaseTree(path.join(root, "base"));
  const trash = new Trash(root, logger);
  for (const name of readdirSync(root)) {
    // A disk that is mounted here has folders of its own.
    if (!/^[0-9]+$/.test(name) || owned.has(Number(name))) continue;
    logger.warn({ folder: name }, "moving a snapshot folder without a row to the trash");
    trash.keep(path.join(root, name));
  }
  return new NumberedDirs(root, trash, options);
}

/**
 * What Docker puts into a layer of its own between image and container, so that neither diff nor commit
 * shows it. Here it lies at the very bottom: whatever an image has itself wins.
 */
function makeBaseTree(base: string): void {
  for (const folder of ["", "dev", "dev/pts", "dev/shm", "etc", "proc", "sys"]) {
    const target = path.join(base, folder);
    mkdirSync(target, { recursive: true });
    chmodSync(target, 0o755);
  }
  for (const file of [
    ".dockerenv",
    "dev/console",
    "etc/hostname",
    "etc/hosts",
    "etc/resolv.conf",
  ]) {
    const target = path.join(base, file);
    writeFileSync(target, "");
    chmodSync(target, 0o755);
  }
  const mtab = path.join(base, "etc/mtab");
  if (lstatSync(mtab, { throwIfNoEntry: false }) === undefined) symlinkSync("/proc/mounts", mtab);
}

function highest(numbers: ReadonlySet<number>): number {
  let found = 0;
  for (const each of numbers) found = Math.max(found, each);
  return found;
}

class NumberedDirs implements SnapshotDirs {
  readonly emptyTree: string;
  readonly baseTree: string;
  readonly #root: string;
  readonly #trash: Trash;
  readonly #syncFileSystem: (folder: string) => Promise<void>;
  #last: number;

  constructor(root: string, trash: Trash, options: SnapshotDirsOptions) {
    this.#root = root;
    this.#trash = trash;
    this.emptyTree = path.join(root, "empty");
    this.baseTree = path.join(root, "base");
    this.#last = highest(options.owned);
    this.#syncFileSystem = options.syncFileSystem;
  }

  treeOf(id: number): string {
    return `${this.#root}/${String(id)}/fs`;
  }

  workOf(id: number): string {
    return `${this.#root}/${String(id)}/work`;
  }

  mountpointOf(id: number): string {
    return `${this.#root}/${String(id)}/merged`;
  }

  create(kind: "layer" | "active" | "view", like: string | undefined): number {
    this.#last += 1;
    const id = this.#last;
    const folder = path.join(this.#root, String(id));
    mkdirSync(folder, { mode: 0o700 });
    try {
      if (kind !== "view") this.#createTree(this.treeOf(id), like);
      if (kind === "active") mkdirSync(this.workOf(id), { mode: 0o700 });
      if (kind !== "layer") mkdirSync(this.mountpointOf(id), { mode: 0o700 });
    } catch (error) {
      // Empty as it is, it needs no room in the trash, which a full disk has not.
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
    return id;
  }

  /** The root of an overlay is that of its upper directory: it must look like the layer's below. */
  #createTree(tree: string, like: string | undefined): void {
    mkdirSync(tree, { mode: 0o755 });
    if (like === undefined) chmodSync(tree, 0o755);
    else copyLook(tree, like);
  }

  resemble(id: number, like: string): void {
    copyLook(this.treeOf(id), like);
  }

  sync(): Promise<void> {
    return this.#syncFileSystem(this.#root);
  }

  remove(id: number): void {
    this.#trash.remove(path.join(this.#root, String(id)));
  }

  seal(id: number): void {
    this.#trash.remove(this.workOf(id));
  }

  async usage(id: number, signal: AbortSignal): Promise<{ sizeBytes: number; inodes: number }> {
    return treeUsage(this.treeOf(id), signal);
  }
}

function copyLook(tree: string, like: string): void {
  const model = statSync(like);
  chownSync(tree, model.uid, model.gid);
  chmodSync(tree, model.mode & 0o7777);
  utimesSync(tree, model.atime, model.mtime);
}

/** Bytes in blocks and inodes below a folder, itself included; a hard link counts once. */
async function treeUsage(
  folder: string,
  signal: AbortSignal,
): Promise<{ sizeBytes: number; inodes: number }> {
  const seen = new Set<bigint>();
  const totals = { sizeBytes: 0, inodes: 0 };
  const add = async (file: string): Promise<void> => {
    const info = await lstat(file, { bigint: true });
    if (info.nlink > 1n && !info.isDirectory()) {
      if (seen.has(info.ino)) return;
      seen.add(info.ino);
    }
    totals.sizeBytes += Number(info.blocks) * 512;
    totals.inodes += 1;
  };
  const visit = async (dir: string): Promise<void> => {
    await add(dir);
    for await (const entry of await opendir(dir)) {
      signal.throwIfAborted();
      const file = path.join(dir, entry.name);
      // A running container changes its tree meanwhile.
      await (entry.isDirectory() ? visit(file) : add(file)).catch((error: unknown) => {
        if (!hasErrno(error, "ENOENT")) throw error;
      });
    }
  };
  await visit(folder);
  return totals;
}
