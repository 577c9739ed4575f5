/**
 * Writes a received tree over an older copy of it: only what differs is fetched.
 *
 * Reading and writing is synchronous: the pieces are small, they go to the page cache, and a thread pool
 * would cost more than the work. Paths are safe without further care: nobody else writes in the folder,
 * and the protocol's reader has seen that every parent is a directory.
 */
import { createHash, type Hash } from "node:crypto";
import {
  chmodSync,
  chownSync,
  closeSync,
  fchmodSync,
  fchownSync,
  futimesSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  openSync,
  renameSync,
  symlinkSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import path from "node:path";
import { invalidArgument } from "@gantry/errors";
import { removeTree } from "@gantry/native";
import { hasContent, parentOf, type TreeEntry } from "../session/entry.ts";
import type { TreeTarget } from "../session/receive-tree.ts";

/** What a copy holds, by path. */
export type TreeIndex = ReadonlyMap<string, TreeEntry>;

/** A file that is being written. */
interface OpenFile {
  readonly file: number;
  readonly hash: Hash;
}

/** Where a tree's writer puts folders that are no longer in it. */
export const trashOf = (root: string): string => `${root}.gone`;

/** Writes one tree. */
export class TreeWriter implements TreeTarget {
  readonly #root: string;
  readonly #old: TreeIndex;
  readonly #new = new Map<string, TreeEntry>();
  /** Entries of the old tree that are no longer what they were, so that nothing below them is. */
  readonly #gone = new Set<string>();
  /** Files that were written anew: links to them must be made again. */
  readonly #rewritten = new Set<string>();
  readonly #links: TreeEntry[] = [];
  readonly #open = new Map<string, OpenFile>();

  /**
   * @param root folder that holds the old tree
   * @param old what it holds
   */
  constructor(root: string, old: TreeIndex) {
    this.#root = root;
    this.#old = old;
  }

  /** What the folder holds when the transfer is complete. */
  get index(): TreeIndex {
    return this.#new;
  }

  entry(entry: TreeEntry): boolean {
    this.#new.set(entry.path, entry);
    const old = this.#living(entry.path);
    if (entry.kind === "file" && entry.linkName !== "") {
      this.#links.push(entry);
      return false;
    }
    if (old !== undefined && isSame(old, entry)) {
      if (old.sum !== undefined) this.#new.set(entry.path, { ...entry, sum: old.sum });
      return false;
    }
    if (entry.kind === "directory") this.#directory(entry, old);
    else {
      this.#remove(entry.path, old);
      if (entry.kind === "symlink") this.#symlink(entry);
      else this.#file(entry);
    }
    return entry.kind === "file" && entry.sizeBytes > 0;
  }

  content(entry: TreeEntry, bytes: Uint8Array): void {
    const { file, hash } = this.#open.get(entry.path) ?? this.#create(entry);
    hash.update(bytes);
    for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
  }

  contentEnd(entry: TreeEntry): void {
    this.#finish(entry, this.#open.get(entry.path) ?? this.#create(entry));
  }

  async complete(): Promise<void> {
    this.#removeMissing();
    for (const link of this.#links) this.#hardLink(link);
    // A directory's time is that of the last change in it: set when there will be no more.
    for (const entry of [...this.#new.values()].reverse()) {
      if (entry.kind === "directory") this.#time(entry);
    }
    if (this.#gone.size > 0) await removeTree(trashOf(this.#root));
  }

  /** Closes what a cut transfer left open. */
  close(): void {
    for (const { file } of this.#open.values()) closeSync(file);
    this.#open.clear();
  }

  /** The old entry, unless something above it has been replaced. */
  #living(name: string): TreeEntry | undefined {
    const old = this.#old.get(name);
    if (old === undefined) return undefined;
    for (let above = parentOf(name); above !== ""; above = parentOf(above)) {
      if (this.#gone.has(above)) return undefined;
    }
    return old;
  }

  #remove(name: string, old: TreeEntry | undefined): void {
    if (old === undefined) return;
    if (old.kind === "directory") {
      // Moved, not removed: that takes as long as there are files in it.
      const trash = trashOf(this.#root);
      if (this.#gone.size === 0) mkdirSync(trash);
      renameSync(this.#full(name), path.join(trash, String(this.#gone.size)));
      this.#gone.add(name);
    } else unlinkSync(this.#full(name));
  }

  #directory(entry: TreeEntry, old: TreeEntry | undefined): void {
    if (old?.kind !== "directory") {
      this.#remove(entry.path, old);
      mkdirSync(this.#full(entry.path));
    }
    this.#owner(entry);
    chmodSync(this.#full(entry.path), entry.permissions);
  }

  #symlink(entry: TreeEntry): void {
    symlinkSync(entry.linkName, this.#full(entry.path));
    this.#owner(entry);
    this.#time(entry);
  }

  #file(entry: TreeEntry): void {
    if (!hasContent(entry)) {
      throw invalidArgument(`${entry.path}: a ${entry.kind} in a build context is not supported`);
    }
    this.#rewritten.add(entry.path);
    if (entry.sizeBytes > 0) return;
    this.#finish(entry, this.#create(entry));
  }

  #create(entry: TreeEntry): OpenFile {
    const open = { file: openSync(this.#full(entry.path), "wx"), hash: createHash("sha256") };
    this.#open.set(entry.path, open);
    return open;
  }

  #hardLink(link: TreeEntry): void {
    const target = this.#new.get(link.linkName);
    if (target?.kind !== "file" || target.linkName !== "") {
      throw invalidArgument(`${link.path}: no file ${link.linkName} to link to`);
    }
    const old = this.#living(link.path);
    if (old?.linkName === link.linkName && !this.#rewritten.has(link.linkName)) return;
    this.#remove(link.path, old);
    linkSync(this.#full(link.linkName), this.#full(link.path));
  }

  #removeMissing(): void {
    for (const [name, old] of this.#old) {
      if (this.#new.has(name) || this.#living(name) === undefined) continue;
      this.#remove(name, old);
    }
  }

  /** Owner, permissions and time by the open file: no path has to be walked for them. */
  #finish(entry: TreeEntry, { file, hash }: OpenFile): void {
    const { path: name, uid, gid, permissions, modifiedNano } = entry;
    if (uid !== 0 || gid !== 0) fchownSync(file, uid, gid);
    fchmodSync(file, permissions);
    const seconds = secondsOf(modifiedNano);
    futimesSync(file, seconds, seconds);
    closeSync(file);
    this.#open.delete(name);
    this.#new.set(name, { ...entry, sum: hash.digest("hex") });
  }

  #owner({ path: name, uid, gid, kind }: TreeEntry): void {
    if ((uid !== 0 || gid !== 0) && kind !== "symlink") chownSync(this.#full(name), uid, gid);
  }

  #time({ path: name, modifiedNano }: TreeEntry): void {
    const seconds = secondsOf(modifiedNano);
    lutimesSync(this.#full(name), seconds, seconds);
  }

  #full(name: string): string {
    return path.join(this.#root, name);
  }
}

/** Whole microseconds: a double holds them exactly enough never to round up into the next second. */
const secondsOf = (nano: bigint): number => Number(nano / 1000n) / 1e6;

function isSame(a: TreeEntry, b: TreeEntry): boolean {
  return (
    a.kind === b.kind &&
    a.permissions === b.permissions &&
    a.uid === b.uid &&
    a.gid === b.gid &&
    a.linkName === b.linkName &&
    (a.kind === "directory" || (a.sizeBytes === b.sizeBytes && a.modifiedNano === b.modifiedNano))
  );
}
