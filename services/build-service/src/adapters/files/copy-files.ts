/**
 * COPY's work: files of one tree into another. Both belong to us alone while it is done, and every path
 * is resolved inside its tree, so that no link leads elsewhere.
 */
import {
  chmodSync,
  lchownSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  rmSync,
  type Stats,
  symlinkSync,
} from "node:fs";
import { type PathKernel, removeTree } from "@gantry/native";
import { BuildFailure } from "../../domain/build-failure.ts";
import { IgnoreRules } from "../../domain/dockerfile/dockerignore.ts";
import { CopyQueue } from "./copy-queue.ts";
import { changedMode, isModeNumber } from "./file-mode.ts";
import { placeIn, statOf } from "./in-root.ts";
import { matchSources } from "./match-sources.ts";

/** Who owns what is copied. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** How to copy. */
export interface CopyOptions {
  /** Undefined: owners are kept. */
  readonly owner: Owner | undefined;
  readonly chmod: string | undefined;
  readonly parents: boolean;
  readonly exclude: readonly string[];
  /** Links in the destination are not followed but replaced. */
  readonly link: boolean;
  /**
   * As of the classic builder: a destination that is made is like any parent, files and folders replace each other,
   * and a new owner takes set-user-ID and set-group-ID bits from programs, as chown(2) does. Default false.
   */
  readonly classic?: boolean;
  readonly signal: AbortSignal;
  readonly kernel: Pick<
    PathKernel,
    "copyFiles" | "listXattrs" | "getXattr" | "setXattr" | "makeNode"
  >;
}

/** A source in its tree. */
export interface CopyFrom {
  readonly root: string;
  readonly path: string;
  /** Name that a single file gets in a directory; undefined: its own. */
  readonly name: string | undefined;
}

/** Entries after which others have their turn. */
const entriesAtOnce = 64;

/** Copies one source. @param destination absolute, with a trailing slash for a directory */
export async function copyFiles(
  from: CopyFrom,
  toRoot: string,
  destination: string,
  options: CopyOptions,
): Promise<void> {
  await new Copier(toRoot, options).copy(from, destination);
}

/** Makes a directory and its missing parents, of `owner`. Existing ones stay as they are. */
export function makeDirectories(root: string, path: string, owner: Owner, mode = 0o755): string {
  const place = placeIn(root, path, true);
  const shown = path.replace(/(?<=.)\/+$/, "");
  if (place.stat !== undefined && !place.stat.isDirectory()) {
    throw new BuildFailure(`mkdir ${shown}: not a directory`);
  }
  // Real from here on: what is missing can't be a link.
  const segments = place.path
    .slice(root.length)
    .split("/")
    .filter((segment) => segment !== "");
  for (let count = 1; count <= segments.length; count += 1) {
    const real = `${root}/${segments.slice(0, count).join("/")}`;
    const stat = statOf(real);
    if (stat === undefined) {
      mkdirSync(real, { mode });
      chmodSync(real, mode);
      lchownSync(real, owner.uid, owner.gid);
    } else if (!stat.isDirectory()) {
      throw new BuildFailure(`mkdir ${shown}: not a directory`);
    }
  }
  return place.path;
}

class Copier {
  readonly #root: string;
  readonly #options: CopyOptions;
  readonly #rules: IgnoreRules | undefined;
  readonly #queue: CopyQueue;
  /** First copy of files with several names. */
  readonly #links = new Map<string, string>();
  #count = 0;

  constructor(root: string, options: CopyOptions) {
    this.#root = root;
    this.#options = options;
    this.#queue = new CopyQueue(options.kernel, options.signal);
    this.#rules =
      options.exclude.length === 0 ? undefined : new IgnoreRules(options.exclude.join("\n"));
  }

  async copy(from: CopyFrom, destination: string): Promise<void> {
    try {
      await this.#copyMatches(from, destination);
    } finally {
      await this.#queue.idle();
    }
  }

  async #copyMatches(from: CopyFrom, destination: string): Promise<void> {
    const pivot = from.path.lastIndexOf("/./");
    for (const { place, name } of matchSources(from.root, from.path, this.#options.parents)) {
      if (place.stat === undefined) continue;
      if (this.#options.link) this.#ownDirectories(destination);
      const base = pivot < 0 ? name : name.slice(prefixLength(from.path.slice(0, pivot)));
      if (this.#options.parents) await this.#copyWithParents(from.root, name, base, destination);
      else if (place.stat.isDirectory())
        await this.#copyDirectory(place.path, place.stat, destination);
      else await this.#copyFile(place.path, place.stat, from.name ?? lastOf(name), destination);
      // The next source may have files of the same names.
      await this.#queue.settle();
    }
  }

  /** The way to the destination as of a tree of its own that is laid over this one: of directories only. */
  #ownDirectories(destination: string): void {
    const asDirectory = destination.endsWith("/");
    let path = this.#root;
    for (const segment of (asDirectory ? destination : parentOf(destination)).split("/")) {
      if (segment === "") continue;
      path = `${path}/${segment}`;
      const stat = statOf(path);
      if (stat?.isDirectory() === true) continue;
      if (stat !== undefined) rmSync(path);
      mkdirSync(path, { mode: this.#newMode });
      chmodSync(path, this.#newMode);
      lchownSync(path, this.#owner.uid, this.#owner.gid);
    }
  }

  #makeDirectories(path: string): string {
    return makeDirectories(this.#root, path, this.#owner, this.#newMode);
  }

  /** Of directories that are made on the way: a number of `--chmod` is theirs, too, as mkdir(2) takes it with a umask of 022. */
  get #newMode(): number {
    const { chmod = "" } = this.#options;
    return isModeNumber(chmod) ? changedMode(0, chmod, true) & 0o755 : 0o755;
  }

  get #owner(): Owner {
    return this.#options.owner ?? { uid: 0, gid: 0 };
  }

  async #copyDirectory(path: string, stat: Stats, destination: string): Promise<void> {
    const asDirectory = destination.endsWith("/");
    const parent = asDirectory ? destination : parentOf(destination);
    this.#makeDirectories(parent);
    if (this.#options.classic === true) {
      const isNew = placeIn(this.#root, destination, true).stat === undefined;
      const made = this.#makeDirectories(destination);
      await this.#merge(path, made, "", isNew);
      return;
    }
    const target = placeIn(this.#root, destination, !this.#options.link);
    if (target.stat !== undefined && !target.stat.isDirectory()) {
      throw new BuildFailure(`cannot copy to non-directory: ${destination}`);
    }
    const isNew = target.stat === undefined;
    // With `--chmod` it is as the way to it.
    const isLike = isNew && this.#options.chmod === undefined;
    if (isLike) this.#makeLike(target.path, stat);
    else if (isNew) this.#makeDirectories(destination);
    await this.#merge(path, target.path, "", isNew);
    if (isLike) this.#finishLater(target.path, stat, path);
  }

  async #copyFile(path: string, stat: Stats, name: string, destination: string): Promise<void> {
    const asDirectory = destination.endsWith("/");
    this.#makeDirectories(asDirectory ? destination : parentOf(destination));
    let target = placeIn(this.#root, destination, !this.#options.link);
    if (target.stat?.isDirectory() === true) {
      target = placeIn(this.#root, `${destination}/${name}`, false);
    }
    await this.#put(path, stat, target.path, name);
  }

  async #copyWithParents(root: string, name: string, base: string, to: string): Promise<void> {
    const segments = base.split("/").filter((segment) => segment !== "");
    const skipped = name.slice(0, name.length - base.length).replace(/\/$/, "");
    let target = this.#makeDirectories(to);
    for (const [index, segment] of segments.entries()) {
      const source = [skipped, ...segments.slice(0, index + 1)].filter(Boolean).join("/");
      const { path, stat } = placeIn(root, source, true);
      if (stat === undefined) return;
      target = `${target}/${segment}`;
      const last = index === segments.length - 1;
      if (last) await this.#put(path, stat, target, segment);
      else if (statOf(target) === undefined) {
        this.#makeLike(target, stat);
        this.#finish(target, stat);
      }
    }
  }

  /** @param isNew nothing is there yet in the target */
  async #merge(from: string, to: string, name: string, isNew: boolean): Promise<void> {
    for (const child of readdirSync(from)) {
      const path = `${from}/${child}`;
      const stat = statOf(path);
      if (stat === undefined) continue;
      const childName = name === "" ? child : `${name}/${child}`;
      await this.#put(path, stat, `${to}/${child}`, childName, isNew);
    }
  }

  /** Copies anything to a path of the target whose parent is there. */
  async #put(from: string, stat: Stats, to: string, name: string, isNew = false): Promise<void> {
    const ignored = this.#rules?.ignores(name) ?? false;
    if (ignored && !(stat.isDirectory() && this.#rules?.hasExceptions === true)) return;
    this.#count += 1;
    if (this.#count % entriesAtOnce === 0) {
      this.#options.signal.throwIfAborted();
      await new Promise(setImmediate);
    }
    const there = isNew ? undefined : await this.#inTheWay(stat, to);
    if (stat.isDirectory()) {
      if (there !== undefined && !there.isDirectory()) {
        throw new BuildFailure(`cannot copy to non-directory: ${to.slice(this.#root.length)}`);
      }
      if (there === undefined) this.#makeLike(to, stat);
      await this.#merge(from, to, name, there === undefined);
      this.#finishLater(to, stat, from);
      return;
    }
    if (there?.isDirectory() === true) {
      throw new BuildFailure(
        `cannot replace to directory ${to.slice(this.#root.length)} with file`,
      );
    }
    if (there !== undefined) rmSync(to);
    if (stat.isFile()) await this.#copyContent(from, stat, to);
    else {
      this.#makeOther(from, stat, to);
      this.#finish(to, stat, from);
    }
  }

  /** What is at a place of the target. The classic builder takes away what is of another kind. */
  async #inTheWay(stat: Stats, to: string): Promise<Stats | undefined> {
    const there = statOf(to);
    const isKept = there === undefined || there.isDirectory() === stat.isDirectory();
    if (isKept || this.#options.classic !== true) return there;
    await removeTree(to);
    return undefined;
  }

  async #copyContent(from: string, stat: Stats, to: string): Promise<void> {
    const identity = stat.nlink > 1 ? identityOf(stat) : undefined;
    const first = identity === undefined ? undefined : this.#links.get(identity);
    if (first !== undefined) {
      this.#queue.afterwards(() => {
        linkSync(first, to);
      });
      return;
    }
    if (identity !== undefined) this.#links.set(identity, to);
    await this.#queue.add({ from, to, ...this.#ownerOf(stat), mode: this.#modeOf(stat), stat });
  }

  #makeLike(path: string, stat: Stats): void {
    mkdirSync(path, { mode: stat.mode & 0o7777 });
  }

  #makeOther(from: string, stat: Stats, to: string): void {
    if (stat.isSymbolicLink()) {
      symlinkSync(readlinkSync(from), to);
      return;
    }
    const [major, minor] = deviceNumbers(stat.rdev);
    this.#options.kernel.makeNode(to, stat.mode, major, minor);
  }

  /** Before the times, after the owner: chown takes a file's capabilities away. */
  #copyXattrs(from: string, to: string): void {
    const { kernel } = this.#options;
    for (const name of kernel.listXattrs(from)) {
      if (name.startsWith("trusted.") || name.startsWith("system.")) continue;
      const value = kernel.getXattr(from, name);
      if (value !== undefined) kernel.setXattr(to, name, value);
    }
  }

  #ownerOf(stat: Stats): Owner {
    const { uid, gid } = this.#options.owner ?? stat;
    return { uid, gid };
  }

  #modeOf(stat: Stats): number {
    const { chmod } = this.#options;
    const mode = this.#isLosingBits(stat) ? bitsLost(stat.mode) : stat.mode & 0o7777;
    return chmod === undefined ? mode : changedMode(mode, chmod, stat.isDirectory());
  }

  #isLosingBits(stat: Stats): boolean {
    return this.#options.classic === true && this.#options.owner !== undefined && stat.isFile();
  }

  /** A directory has its time when all is in it. */
  #finishLater(path: string, stat: Stats, from: string): void {
    this.#queue.afterwards(() => {
      this.#finish(path, stat, from);
    });
  }

  #finish(path: string, stat: Stats, from?: string): void {
    const { uid, gid } = this.#ownerOf(stat);
    lchownSync(path, uid, gid);
    if (!stat.isSymbolicLink()) chmodSync(path, this.#modeOf(stat));
    if (from !== undefined) this.#copyXattrs(from, path);
    lutimesSync(path, stat.atime, stat.mtime);
  }
}

/** What chown(2) leaves of a file's mode: set-group-ID without the right to execute means locks. */
function bitsLost(mode: number): number {
  return mode & 0o7777 & ~0o4000 & ((mode & 0o010) === 0 ? ~0 : ~0o2000);
}

const identityOf = ({ dev, ino }: Stats): string => `${String(dev)} ${String(ino)}`;

/** As glibc packs them. */
function deviceNumbers(device: number): [number, number] {
  const number = BigInt(device);
  const major = ((number >> 8n) & 0xfffn) | ((number >> 32n) & ~0xfffn);
  const minor = (number & 0xffn) | ((number >> 12n) & ~0xffn);
  return [Number(major), Number(minor & 0xffffffffn)];
}

function prefixLength(prefix: string): number {
  const length = prefix
    .split("/")
    .filter((segment) => segment !== "" && segment !== ".")
    .join("/").length;
  return length === 0 ? 0 : length + 1;
}

function lastOf(name: string): string {
  return name.split("/").at(-1) ?? "";
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/") + 1);
}
