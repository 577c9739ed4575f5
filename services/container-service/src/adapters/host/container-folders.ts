/**
 * Folders of containers. What is moved away stays below the same folder, since that may be a disk of its own:
 *
 *   <data>/container-service/containers/<id>
 *   <data>/container-service/containers/.trash/<id>.<random>   being deleted
 */
import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync } from "node:fs";
import { mkdir, readdir, rename } from "node:fs/promises";
import path from "node:path";
import { hasErrno } from "@gantry/errors";
import { overwriteFile } from "@gantry/fs";
import type { Logger } from "@gantry/logging";
import { type Kernel, removeTree } from "@gantry/native";
import { isId } from "../../domain/container-id.ts";
import type { ContainerFolders, ContainerPaths } from "../../ports/host.ts";

const mountFlags = 0xen; // MS_NOSUID | MS_NODEV | MS_NOEXEC
const detachMount = 2;

/** Makes the folders that hold the others. What an earlier removal left is deleted in the background. */
export function openContainerFolders(
  dataDir: string,
  kernel: Pick<Kernel, "mount" | "unmount">,
  logger: Logger,
): ContainerFolders {
  const root = path.join(dataDir, "containers");
  const trash = path.join(root, ".trash");
  for (const folder of [root, trash]) mkdirSync(folder, { recursive: true, mode: 0o710 });
  const pathsOf = (id: string): ContainerPaths => {
    // Asked for many times a run: path.join would look at each letter.
    const dir = `${root}/${id}`;
    return {
      dir,
      bundle: dir,
      exitRecord: `${dir}/exit.json`,
      log: `${dir}/${id}-json.log`,
      shm: `${dir}/shm`,
    };
  };
  const empty = (folder: string): void => {
    removeTree(folder).catch((error: unknown) => {
      logger.warn({ err: error, folder }, "folder is left in the trash");
    });
  };
  for (const name of readdirSync(trash)) empty(path.join(trash, name));
  return {
    paths: pathsOf,
    containerDir: (id) => pathsOf(id).dir,
    async make(id) {
      await mkdir(pathsOf(id).dir, { mode: 0o710 });
    },
    async writeBundle(id, json) {
      await overwriteFile(path.join(pathsOf(id).bundle, "config.json"), json, 0o600);
    },
    async remove(id) {
      const away = path.join(trash, `${id}.${randomBytes(4).toString("hex")}`);
      try {
        await rename(pathsOf(id).dir, away);
      } catch (error) {
        if (hasErrno(error, "ENOENT")) return;
        throw error;
      }
      empty(away);
    },
    list: async () => (await readdir(root)).filter(isId),
    async mountShm(id, sizeBytes) {
      const target = pathsOf(id).shm;
      await mkdir(target, { recursive: true, mode: 0o700 });
      const data = `mode=1777,size=${String(sizeBytes)}`;
      await kernel.mount({ source: "shm", target, type: "tmpfs", flags: mountFlags, data });
    },
    async unmountShm(id) {
      try {
        await kernel.unmount(pathsOf(id).shm, detachMount);
      } catch (error) {
        if (!hasErrno(error, "EINVAL") && !hasErrno(error, "ENOENT")) throw error;
      }
    },
  };
}
