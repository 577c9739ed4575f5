/**
 * A folder for what is to be deleted, what no row owns, and what is needed for a moment. It lies below that of the
 * files it is for, since each of these may be a disk of its own.
 */
import { randomUUID } from "node:crypto";
import { chmodSync, mkdirSync, readdirSync, renameSync, statSync, utimesSync } from "node:fs";
import path from "node:path";
import { hasErrno } from "@gantry/errors";
import type { Logger } from "@gantry/logging";
import { removeTree } from "@gantry/native";

/** What start-up found without a row is kept so long, in case a person wants it back. */
const keepMs = 24 * 60 * 60 * 1000;

/** Nothing else in a folder of ours begins with a dot. */
const folderName = ".trash";

/** A folder to work in, deleted in the background when disposed. */
export interface ScratchFolder extends Disposable {
  readonly path: string;
}

export class Trash {
  readonly #folder: string;
  readonly #logger: Logger;

  /** Makes `<beside>/.trash`; what an earlier process left there is deleted when it is not wanted back any more. */
  constructor(beside: string, logger: Logger) {
    this.#folder = path.join(beside, folderName);
    this.#logger = logger;
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    chmodSync(this.#folder, 0o700);
    this.#empty(Date.now() - keepMs);
  }

  #empty(olderThanMs: number): void {
    for (const name of readdirSync(this.#folder)) {
      const entry = path.join(this.#folder, name);
      if (name.startsWith("scratch-") || statSync(entry).mtimeMs < olderThanMs)
        this.#deleteSoon(entry);
    }
  }

  /** Takes a file or folder out of sight, to be kept for a day. Returns where it went; undefined when it was not there. */
  keep(file: string): string | undefined {
    const target = path.join(this.#folder, `${path.basename(file)}-${randomUUID()}`);
    try {
      renameSync(file, target);
    } catch (error) {
      if (hasErrno(error, "ENOENT")) return undefined;
      throw error;
    }
    const now = new Date();
    utimesSync(target, now, now);
    return target;
  }

  /** Takes a file or folder out of sight; it is deleted in the background. */
  remove(file: string): void {
    const target = this.keep(file);
    if (target !== undefined) this.#deleteSoon(target);
  }

  scratch(): ScratchFolder {
    const folder = path.join(this.#folder, `scratch-${randomUUID()}`);
    mkdirSync(folder, { mode: 0o700 });
    return {
      path: folder,
      [Symbol.dispose]: () => {
        this.#deleteSoon(folder);
      },
    };
  }

  #deleteSoon(file: string): void {
    removeTree(file).catch((error: unknown) => {
      this.#logger.warn(
        { err: error, folder: file },
        "cannot delete from the trash; a later start will",
      );
    });
  }
}
