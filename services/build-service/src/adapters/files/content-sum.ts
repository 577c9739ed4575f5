/**
 * Checksums of what COPY takes: content, type, permission bits and owners of everything, no times.
 * Sums of unchanged files (same inode, size, and change time) are remembered; what a received tree is known to hold
 * is not even looked at.
 */
import { createHash } from "node:crypto";
import {
  closeSync,
  constants,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  type Stats,
} from "node:fs";
import { IgnoreRules } from "../../domain/dockerfile/dockerignore.ts";
import type { KnownEntry, KnownFiles } from "../../ports/build-inputs.ts";
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

interface SumOptions {
  readonly exclude: readonly string[];
  readonly parents: boolean;
  readonly owners: boolean;
  readonly sums: FileSums;
  readonly known: KnownFiles | undefined;
  readonly signal: AbortSignal;
}

/** Sums up what a source means. Throws MissingSource. */
export async function sumOfSource(
  root: string,
  path: string,
  options: SumOptions,
): Promise<string> {
  const { exclude, parents } = options;
  const hash = createHash("sha256");
  const summer = new Summer(root, options);
  const rules = exclude.length === 0 ? undefined : new IgnoreRules(exclude.join("\n"));
  for (const { place, name } of matchSources(root, path, parents)) {
    if (place.stat === undefined) continue;
    // The name is part of the result.
    hash.update(`${name.split("/").at(-1) ?? ""}\0`);
    for await (const line of summer.lines(place.path, place.stat, "", rules)) hash.update(line);
  }
  return hash.digest("hex");
}

class Summer {
  readonly #root: string;
  readonly #options: SumOptions;
  readonly #buffer = Buffer.allocUnsafe(bufferBytes);
  #count = 0;

  constructor(root: string, options: SumOptions) {
    this.#root = root;
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
    const { known } = this.#options;
    if (known !== undefined) {
      yield* this.#knownLines(known, path.slice(this.#root.length + 1), path, name, rules);
      return;
    }
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

  /** What is below a folder, in the same words. @param folder its path in the tree */
  *#knownLines(
    known: KnownFiles,
    folder: string,
    path: string,
    name: string,
    rules: IgnoreRules | undefined,
  ): Generator<string> {
    for (const child of known.children(folder)) {
      const inTree = folder === "" ? child : `${folder}/${child}`;
      const entry = known.entry(inTree);
      if (entry === undefined) throw new RangeError(`${inTree} is a child and no entry`);
      const isFolder = entry.kind === "directory";
      const childName = name === "" ? child : `${name}/${child}`;
      if (rules?.ignores(childName) && !(isFolder && rules.hasExceptions)) continue;
      const childPath = `${path}/${child}`;
      yield `${childName}\0${knownHead(entry) ?? this.#lookedHead(childPath)}\n`;
      if (isFolder) yield* this.#knownLines(known, inTree, childPath, childName, rules);
    }
  }

  #lookedHead(path: string): string {
    return this.#headOf(path, lstatSync(path));
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

/** As of a file that was looked at, without owners: those of a client's files don't count. */
function knownHead({ kind, permissions, sum, linkTarget }: KnownEntry): string | undefined {
  const head = (type: number, mode: number, rest: string): string =>
    `${(type | mode).toString(8)}  ${rest}`;
  if (kind === "symlink") return head(constants.S_IFLNK, 0o777, `link ${linkTarget}`);
  if (kind === "directory") return head(constants.S_IFDIR, permissions, "0");
  return sum === undefined ? undefined : head(constants.S_IFREG, permissions, sum);
}
