/**
 * Checksums of what COPY takes: content, type, permission bits and owners of everything, no times.
 * Sums of unchanged files (same inode, size, and change time) are remembered.
 */
import { createHash } from "node:crypto";
import { closeSync, openSync, readdirSync, readlinkSync, readSync, type Stats } from "node:fs";
import { IgnoreRules } from "../../domain/dockerfile/dockerignore.ts";
import { statOf } from "./in-root.ts";
import { matchSources } from "./match-sources.ts";

/** Sums of files by what tells that they are unchanged. */
export interface FileSums {
  get(identity: string): string | undefined;
  set(identity: string, sum: string): void;
}

/** Files worked on before others get a turn. */
const filesAtOnce = 64;
const bufferBytes = 256 * 1024;

/** Sums up what a source means. Throws MissingSource. */
export async function sumOfSource(
  root: string,
  path: string,
  exclude: readonly string[],
  options: { readonly owners: boolean; readonly sums: FileSums; readonly signal: AbortSignal },
): Promise<string> {
  const hash = createHash("sha256");
  const summer = new Summer(options);
  const rules = exclude.length === 0 ? undefined : new IgnoreRules(exclude.join("\n"));
  for (const { place, name } of matchSources(root, path)) {
    if (place.stat === undefined) continue;
    // The name of a pattern's match is part of the result; a plain path's is in the key already.
    hash.update(`${name.split("/").at(-1) ?? ""}\0`);
    for await (const line of summer.lines(place.path, place.stat, "", rules)) hash.update(line);
  }
  return hash.digest("hex");
}

class Summer {
  readonly #options: Parameters<typeof sumOfSource>[3];
  readonly #buffer = Buffer.allocUnsafe(bufferBytes);
  #count = 0;

  constructor(options: Parameters<typeof sumOfSource>[3]) {
    this.#options = options;
  }

  async *lines(
    path: string,
    stat: Stats,
    name: string,
    rules: IgnoreRules | undefined,
  ): AsyncGenerator<string> {
    if (name !== "" && rules?.ignores(name) && !(stat.isDirectory() && rules.hasExceptions)) return;
    this.#count += 1;
    if (this.#count % filesAtOnce === 0) {
      this.#options.signal.throwIfAborted();
      await new Promise(setImmediate);
    }
    yield `${name}\0${this.#headOf(path, stat)}\n`;
    if (!stat.isDirectory()) return;
    for (const child of readdirSync(path).sort()) {
      const childStat = statOf(`${path}/${child}`);
      if (childStat === undefined) continue;
      yield* this.lines(
        `${path}/${child}`,
        childStat,
        name === "" ? child : `${name}/${child}`,
        rules,
      );
    }
  }

  #headOf(path: string, stat: Stats): string {
    const owner = this.#options.owners ? `${String(stat.uid)}:${String(stat.gid)}` : "";
    const bits = `${stat.mode.toString(8)} ${owner}`;
    if (stat.isSymbolicLink()) return `${bits} link ${readlinkSync(path)}`;
    if (stat.isFile()) return `${bits} ${this.#sumOf(path, stat)}`;
    return `${bits} ${String(stat.rdev)}`;
  }

  #sumOf(path: string, stat: Stats): string {
    const identity = `${String(stat.dev)} ${String(stat.ino)} ${String(stat.size)} ${String(stat.ctimeMs)}`;
    const known = this.#options.sums.get(identity);
    if (known !== undefined) return known;
    const hash = createHash("sha256");
    const fd = openSync(path, "r");
    try {
      for (let count = 1; count > 0; ) {
        count = readSync(fd, this.#buffer, 0, bufferBytes, null);
        hash.update(this.#buffer.subarray(0, count));
      }
    } finally {
      closeSync(fd);
    }
    const sum = hash.digest("hex");
    this.#options.sums.set(identity, sum);
    return sum;
  }
}
