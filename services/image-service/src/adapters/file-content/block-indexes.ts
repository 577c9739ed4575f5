/**
 * Indexes of the blocks that packed layers are made of, which the unpack program writes and reads:
 *
 *   content/blocks/<hex>   index of the blob of that SHA-256
 *   content/blocks/key     by which blocks are known; secret
 *
 * They only make packing quicker: one that is missing or broken costs time.
 */
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { rename, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { hasErrno } from "@gantry/errors";
import { type Digest, digestAlgorithm, digestHex } from "@gantry/oci";

/** As the program spells it. */
const magic = "gblocks1";
const keyBytes = 16;
const keyName = "key";
const privateMode = 0o700;

/** The folder of indexes. It is made when there is something to keep: a start needs no room on the disk for it. */
export class BlockIndexes {
  readonly #folder: string;
  #known: Buffer | undefined;

  /** @param blobs folder of the blobs; the indexes of others are removed */
  constructor(folder: string, blobs: string) {
    this.#folder = folder;
    if (!existsSync(folder)) return;
    chmodSync(folder, privateMode);
    for (const name of readdirSync(folder)) {
      if (name !== keyName && !existsSync(path.join(blobs, name))) rmSync(path.join(folder, name));
    }
  }

  /** What every index begins with. */
  get #head(): Buffer {
    if (this.#known === undefined) {
      mkdirSync(this.#folder, { recursive: true, mode: privateMode });
      const key = readKey(path.join(this.#folder, keyName));
      this.#known = Buffer.concat([Buffer.from(magic), key]);
    }
    return this.#known;
  }

  /** Makes the file for the index of a layer that is about to be packed. */
  async begin(file: string): Promise<void> {
    await writeFile(file, this.#head, { flag: "wx", mode: 0o600 });
  }

  /** The layer is there now: keeps its index, if there is anything in it. */
  async keep(file: string, digest: Digest): Promise<void> {
    if ((await stat(file)).size > this.#head.length) await rename(file, this.pathOf(digest));
    else await rm(file);
  }

  /** Those of blobs that have an index. */
  indexed(digests: readonly Digest[]): Digest[] {
    return digests.filter(
      (digest) => digestAlgorithm(digest) === "sha256" && existsSync(this.pathOf(digest)),
    );
  }

  pathOf(digest: Digest): string {
    return path.join(this.#folder, digestHex(digest));
  }

  remove(digest: Digest): void {
    if (digestAlgorithm(digest) === "sha256") rmSync(this.pathOf(digest), { force: true });
  }
}

function readKey(file: string): Buffer {
  try {
    const key = readFileSync(file);
    if (key.length === keyBytes) return key;
  } catch (error) {
    if (!hasErrno(error, "ENOENT")) throw error;
  }
  // Indexes with another key are of no use, and do no harm.
  const key = randomBytes(keyBytes);
  writeFileSync(file, key, { mode: 0o600 });
  return key;
}
