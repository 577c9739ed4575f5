/** How volumes go: out of sight in one step, deleted in the background, and back where a crash came between. */
import { createHash, randomUUID } from "node:crypto";
import { readdir, rename, stat } from "node:fs/promises";
import path from "node:path";
import { hasErrno } from "@gantry/errors";
import type { Logger } from "@gantry/logging";
import { removeTree } from "@gantry/native";
import type { VolumeRemoval } from "../../ports/volume-host.ts";

/** Name of a volume's files while they are on their way out, in its folder. */
const removedName = "_removed";

/** Where removed volumes are. */
export class VolumeTrash {
  readonly #folder: string;
  readonly #logger: Logger;

  /** `folder` is below that of the volumes, which may be a disk of its own, and is there before anything is asked. */
  constructor(folder: string, logger: Logger) {
    this.#folder = folder;
    this.#logger = logger;
  }

  /** Moves a volume's folder, with its record. What somebody has mounted on the files is not moved away: EBUSY. */
  removing(name: string, folder: string, files: string): VolumeRemoval {
    const doomed = `${this.#folder}/${hashOf(name)}.${randomUUID()}`;
    return {
      folders: {
        before: [
          { move: files, to: `${folder}/${removedName}` },
          { move: folder, to: doomed },
        ],
      },
      finish: () => {
        this.#deleteSoon(doomed);
      },
    };
  }

  /** Deletes what is there, but for what a record still tells of: it was on its way out when a crash came, and goes back. */
  async empty(recorded: readonly string[], folderOf: (name: string) => string): Promise<void> {
    const trash = await readdir(this.#folder);
    if (trash.length === 0) return;
    const folders = new Map(recorded.map((name) => [hashOf(name), folderOf(name)]));
    for (const doomed of trash) {
      const from = path.join(this.#folder, doomed);
      const to = folders.get(doomed.replace(/\..*$/, ""));
      if (to === undefined || !(await movedBack(from, to))) this.#deleteSoon(from);
    }
  }

  /** A removal that had come as far as the files: its volume is as it was. */
  async putBack(folder: string, files: string): Promise<void> {
    try {
      await rename(`${folder}/${removedName}`, files);
    } catch (error) {
      if (!hasErrno(error, "ENOENT")) throw error;
    }
  }

  /** What cannot be deleted now is tried again at the next start. */
  #deleteSoon(folder: string): void {
    removeTree(folder).catch((error: unknown) => {
      this.#logger.warn({ err: error, folder }, "a removed volume's files cannot be deleted");
    });
  }
}

/** Names may be as long as a file name can be. */
function hashOf(volume: string): string {
  return createHash("sha256").update(volume).digest("hex");
}

/** False when there is one at that place already. */
async function movedBack(from: string, to: string): Promise<boolean> {
  try {
    await stat(to);
    return false;
  } catch (error) {
    if (!hasErrno(error, "ENOENT")) throw error;
  }
  await rename(from, to);
  return true;
}
