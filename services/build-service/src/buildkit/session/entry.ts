/** Entries of a client's tree, checked. */
import { invalidArgument } from "@gantry/errors";
import type { Stat } from "@gantry/proto/buildkit";
import { type EntryKind, kindOf, permissionsOf } from "./file-mode.ts";

/** One entry, as the client describes it. */
export interface TreeEntry {
  /** Relative, clean. */
  readonly path: string;
  readonly kind: EntryKind;
  /** For chmod. */
  readonly permissions: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  readonly modifiedNano: bigint;
  /** Target of a symbolic link, or the earlier path that a file is a hard link to; else empty. */
  readonly linkName: string;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
  readonly xattrs: Readonly<Record<string, Uint8Array>>;
  /** SHA-256 of the content in hexadecimal, where it has been received. */
  readonly sum?: string;
}

/** Reads a stat. Throws invalid_argument for paths that are not what they should be. */
export function readEntry(stat: Stat): TreeEntry {
  const kind = kindOf(stat.mode);
  if (!isCleanPath(stat.path)) {
    throw invalidArgument(`invalid path in transfer: ${JSON.stringify(stat.path)}`);
  }
  return {
    path: stat.path,
    kind,
    permissions: permissionsOf(stat.mode),
    uid: stat.uid,
    gid: stat.gid,
    sizeBytes: Number(stat.size),
    modifiedNano: stat.modTime,
    linkName: stat.linkname,
    deviceMajor: Number(stat.devmajor),
    deviceMinor: Number(stat.devminor),
    xattrs: stat.xattrs,
  };
}

/** Relative, without empty, `.` and `..` parts. */
function isCleanPath(path: string): boolean {
  if (path === "" || path.includes("\0")) return false;
  return path.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}

/** The folder an entry is in; empty: the root. */
export function parentOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash === -1 ? "" : path.slice(0, slash);
}

/** Whether an entry has content of its own. */
export const hasContent = (entry: TreeEntry): boolean =>
  entry.kind === "file" && entry.linkName === "";
