/**
 * The last received copy of each client directory, so that the next build fetches what has changed.
 *
 *   <root>/<key>.<n>/tree/   the files; n counts copies of one directory that were needed at once
 *   <root>/<key>.<n>/index   what tree/ holds; absent while it is written, and then it is worth nothing
 */
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm, stat } from "node:fs/promises";
import path from "node:path";
import { hasErrno } from "@gantry/errors";
import { orNothing, writeFileAtomic } from "@gantry/fs";
import { removeTree } from "@gantry/native";
import type { CacheRecord } from "../../ports/build.ts";
import type { KnownFiles } from "../../ports/build-inputs.ts";
import type { KeptContexts } from "../../ports/kept-contexts.ts";
import { knownFiles, readIndex, writeIndex } from "./tree-index.ts";
import { type TreeIndex, TreeWriter, trashOf } from "./tree-writer.ts";

/** A copy that one build reads. */
export interface KeptTree extends AsyncDisposable {
  /** Absolute path of the files. */
  readonly root: string;
  /** What they are. */
  readonly known: KnownFiles;
}

/** One copy on disk. */
interface Slot {
  readonly folder: string;
}

/** All copies. */
export class KeptTrees implements KeptContexts {
  readonly #root: string;
  readonly #busy = new Set<string>();

  /** @param root folder of ours; it is made when it is first needed. */
  constructor(root: string) {
    this.#root = root;
  }

  /**
   * Brings a directory up to date and lends it.
   * @param key what the directory is known by, between builds
   * @param fill runs the transfer into the writer that it is given
   */
  async update(key: string, fill: (writer: TreeWriter) => Promise<void>): Promise<KeptTree> {
    const slot = this.#take(createHash("sha256").update(key).digest("hex").slice(0, 32));
    let index: TreeIndex;
    try {
      index = await this.#write(slot, key, fill);
    } catch (error) {
      // What has come in is worth nothing, however much it is.
      await removeTree(slot.folder);
      this.#busy.delete(slot.folder);
      throw error;
    }
    return {
      root: path.join(slot.folder, "tree"),
      known: knownFiles(index),
      [Symbol.asyncDispose]: () => {
        this.#busy.delete(slot.folder);
        return Promise.resolve();
      },
    };
  }

  async list(): Promise<CacheRecord[]> {
    const names = await this.#names();
    const records = await Promise.all(names.map((name) => this.#record(name)));
    return records.filter((each) => each !== undefined);
  }

  async #names(): Promise<string[]> {
    try {
      return await readdir(this.#root);
    } catch (error) {
      if (hasErrno(error, "ENOENT")) return [];
      throw error;
    }
  }

  /** Removes copies that an earlier process was killed over. */
  async removeUnfinished(): Promise<void> {
    for (const name of await this.#names()) {
      const folder = path.join(this.#root, name);
      const index = await readIndex(path.join(folder, "index"));
      if (index === undefined) await removeTree(folder);
    }
  }

  async remove(id: string): Promise<boolean> {
    const folder = path.join(this.#root, id);
    if (this.#busy.has(folder)) return false;
    this.#busy.add(folder);
    try {
      await removeTree(folder);
    } finally {
      this.#busy.delete(folder);
    }
    return true;
  }

  #take(name: string): Slot {
    for (let n = 0; ; n++) {
      const folder = path.join(this.#root, `${name}.${String(n)}`);
      if (this.#busy.has(folder)) continue;
      this.#busy.add(folder);
      return { folder };
    }
  }

  async #write(
    { folder }: Slot,
    key: string,
    fill: (writer: TreeWriter) => Promise<void>,
  ): Promise<TreeIndex> {
    const tree = path.join(folder, "tree");
    const indexFile = path.join(folder, "index");
    const old = await readIndex(indexFile);
    await rm(indexFile, { force: true });
    if (old === undefined) await removeTree(tree);
    await removeTree(trashOf(tree));
    await mkdir(tree, { recursive: true });
    const writer = new TreeWriter(tree, old ?? new Map());
    try {
      await fill(writer);
    } finally {
      writer.close();
    }
    await writeFileAtomic(indexFile, writeIndex(key, writer.index));
    return writer.index;
  }

  async #record(name: string): Promise<CacheRecord | undefined> {
    const folder = path.join(this.#root, name);
    const indexFile = path.join(folder, "index");
    const inUse = this.#busy.has(folder);
    // A build takes the index away while it brings the copy up to date.
    const [index, folderStat, indexStat] = await Promise.all([
      readIndex(indexFile),
      orNothing(stat(folder)),
      orNothing(stat(indexFile)),
    ]);
    if (folderStat === undefined) return undefined;
    const sizeBytes = [...(index?.values() ?? [])].reduce(
      (sum, { kind, linkName, sizeBytes: size }) =>
        sum + (kind === "file" && linkName === "" ? size : 0),
      0,
    );
    const used = (indexStat ?? folderStat).mtimeMs;
    return {
      id: name,
      description: `local source for ${await readDirectoryName(indexFile)}`,
      sizeBytes,
      inUse,
      createdNano: nanoOf(folderStat.birthtimeMs),
      lastUsedNano: nanoOf(used),
      parents: [],
      type: "source.local",
      shared: false,
      mutable: true,
      usageCount: 1,
    };
  }
}

const nanoOf = (ms: number): bigint => BigInt(Math.round(ms)) * 1_000_000n;

async function readDirectoryName(indexFile: string): Promise<string> {
  const text = (await orNothing(readFile(indexFile, "utf8"))) ?? "";
  const key: unknown = text === "" ? "" : JSON.parse(text.slice(0, text.indexOf("\n")));
  return typeof key === "string" ? (key.split(":")[0] ?? "") : "";
}
