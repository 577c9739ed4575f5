/**
 * Cache mounts as folders: `<data>/build-service/mounts/<record id>/files`. Which ID has which folders is
 * a record of the cache, under the key `mount <id>`; a private mount that is in use gets a folder of its own.
 */
import { randomUUID } from "node:crypto";
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, renameSync } from "node:fs";
import { lstat, opendir } from "node:fs/promises";
import path from "node:path";
import { hasErrno } from "@gantry/errors";
import { nowNano } from "@gantry/events";
import { removeTree } from "@gantry/native";
import type { BuildCache } from "../../ports/build-cache.ts";
import type { CacheMount, CacheMountRequest, CacheMounts } from "../../ports/cache-mounts.ts";

interface Folder {
  readonly recordId: string;
  users: number;
  /** Somebody has it for himself. */
  exclusive: boolean;
  /** Ends, well or not, when somebody has tried to make its files. */
  filling: Promise<unknown> | undefined;
}

export function openCacheMounts(
  dataDir: string,
  cache: BuildCache,
  onRecord: (id: string) => void,
): CacheMounts {
  return new FolderMounts(path.join(dataDir, "mounts"), cache, onRecord);
}

class FolderMounts implements CacheMounts {
  readonly #root: string;
  readonly #cache: BuildCache;
  readonly #onRecord: (id: string) => void;
  readonly #folders = new Map<string, Folder>();
  /** Those who wait for a folder that becomes free. */
  readonly #waiting = new Set<() => void>();
  /** Folders of earlier processes that no record has. */
  readonly #left: string[];

  constructor(root: string, cache: BuildCache, onRecord: (id: string) => void) {
    this.#root = root;
    this.#cache = cache;
    this.#onRecord = onRecord;
    mkdirSync(root, { recursive: true, mode: 0o700 });
    const known = new Set(cache.list().map(({ id }) => id));
    this.#left = readdirSync(root).filter((name) => !known.has(name));
  }

  async cleanUp(): Promise<void> {
    for (const name of this.#left.splice(0)) await removeTree(path.join(this.#root, name));
  }

  async take(request: CacheMountRequest, signal: AbortSignal): Promise<CacheMount> {
    for (;;) {
      signal.throwIfAborted();
      const folder = this.#choose(request);
      if (folder !== undefined) return await this.#use(folder, request);
      await this.#untilFree(signal);
    }
  }

  /** A folder that may be used now; undefined: wait. */
  #choose({ id, sharing, description }: CacheMountRequest): Folder | undefined {
    for (let number = 0; ; number += 1) {
      const key = number === 0 ? `mount ${id}` : `mount ${id} ${String(number)}`;
      const recordId = this.#cache.find(key)?.id ?? this.#make(key, description);
      const folder = this.#folders.get(recordId) ?? newFolder(recordId);
      this.#folders.set(recordId, folder);
      if (folder.users === 0) return folder;
      if (sharing === "shared" && !folder.exclusive) return folder;
      if (sharing !== "private") return undefined;
    }
  }

  #make(key: string, description: string): string {
    const id = randomUUID().replaceAll("-", "").slice(0, 25);
    this.#cache.put(
      {
        ...{ id, snapshot: "", key, type: "exec.cachemount", description },
        ...{ sizeBytes: 0, createdNano: nowNano() },
      },
      [key],
    );
    this.#onRecord(id);
    return id;
  }

  async #use(folder: Folder, request: CacheMountRequest): Promise<CacheMount> {
    folder.users += 1;
    this.#cache.use(folder.recordId);
    folder.exclusive = request.sharing !== "shared";
    const leave = (): void => {
      folder.users -= 1;
      if (folder.users === 0) folder.exclusive = false;
      for (const wake of [...this.#waiting]) wake();
    };
    try {
      if (request.reset && folder.users === 1) await this.#delete(folder.recordId);
      const files = path.join(this.#root, folder.recordId, "files");
      await this.#ensure(folder, files, request);
      return {
        path: files,
        [Symbol.asyncDispose]() {
          leave();
          return Promise.resolve();
        },
      };
    } catch (error) {
      leave();
      throw error;
    }
  }

  /** What is there stays, also when it is empty: a step may have it mounted. */
  async #ensure(folder: Folder, files: string, request: CacheMountRequest): Promise<void> {
    while (folder.filling !== undefined) await folder.filling;
    if (existsSync(files)) return;
    const filling = this.#fill(folder.recordId, files, request);
    folder.filling = Promise.allSettled([filling]);
    try {
      await filling;
    } finally {
      folder.filling = undefined;
    }
  }

  /** A folder is there as a whole or not at all. */
  async #fill(recordId: string, files: string, request: CacheMountRequest): Promise<void> {
    const { uid, gid, mode, seed } = request;
    mkdirSync(path.join(this.#root, recordId), { recursive: true, mode: 0o700 });
    const fresh = `${files}.${randomUUID()}`;
    mkdirSync(fresh, { mode });
    chownSync(fresh, uid, gid);
    chmodSync(fresh, mode);
    try {
      await seed?.(fresh);
      renameSync(fresh, files);
    } catch (error) {
      await removeTree(fresh);
      throw error;
    }
  }

  async #untilFree(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const wake = (): void => {
      resolve(undefined);
    };
    this.#waiting.add(wake);
    signal.addEventListener("abort", wake, { once: true });
    await promise;
    signal.removeEventListener("abort", wake);
    this.#waiting.delete(wake);
  }

  async remove(recordId: string): Promise<void> {
    this.#folders.delete(recordId);
    await this.#delete(recordId);
  }

  /** Away at once, so that nobody sees half of it; gone when its files are. */
  async #delete(name: string): Promise<void> {
    const gone = path.join(this.#root, `gone-${randomUUID()}`);
    try {
      renameSync(path.join(this.#root, name), gone);
    } catch (error) {
      if (hasErrno(error, "ENOENT")) return;
      throw error;
    }
    await removeTree(gone);
  }

  isUsed(recordId: string): boolean {
    return (this.#folders.get(recordId)?.users ?? 0) > 0;
  }

  async measure(signal: AbortSignal): Promise<void> {
    for (const { id, type } of this.#cache.list()) {
      if (type !== "exec.cachemount" || this.isUsed(id)) continue;
      const bytes = await diskBytes(path.join(this.#root, id), signal);
      this.#cache.resize(id, bytes);
    }
  }
}

function newFolder(recordId: string): Folder {
  return { recordId, users: 0, exclusive: false, filling: undefined };
}

async function diskBytes(folder: string, signal: AbortSignal): Promise<number> {
  let bytes = 0;
  try {
    for await (const entry of await opendir(folder)) {
      signal.throwIfAborted();
      const file = path.join(folder, entry.name);
      bytes += (await lstat(file)).blocks * 512;
      if (entry.isDirectory()) bytes += await diskBytes(file, signal);
    }
  } catch (error) {
    if (!hasErrno(error, "ENOENT")) throw error;
  }
  return bytes;
}
