/** The file that says what a kept tree holds: the directory's key, then an entry a line. */
import { readFile } from "node:fs/promises";
import { hasErrno } from "@gantry/errors";
import type { KnownFiles } from "../../ports/build-inputs.ts";
import { parentOf, type TreeEntry } from "../session/entry.ts";
import type { EntryKind } from "../session/file-mode.ts";
import type { TreeIndex } from "./tree-writer.ts";

type Line = [
  path: string,
  kind: EntryKind,
  permissions: number,
  uid: number,
  gid: number,
  size: number,
  modified: string,
  link: string,
  sum?: string,
];

/** An index as text. */
export function writeIndex(key: string, index: TreeIndex): string {
  const lines = [JSON.stringify(key)];
  for (const entry of index.values()) {
    const { path, kind, permissions, uid, gid, sizeBytes, modifiedNano, linkName, sum } = entry;
    const modified = String(modifiedNano);
    const line: Line = [path, kind, permissions, uid, gid, sizeBytes, modified, linkName];
    if (sum !== undefined) line.push(sum);
    lines.push(JSON.stringify(line));
  }
  return `${lines.join("\n")}\n`;
}

/** Reads an index; undefined when there is none. */
export async function readIndex(file: string): Promise<TreeIndex | undefined> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return undefined;
    throw error;
  }
  const lines = text.split("\n").slice(1, -1);
  return new Map(
    lines.map((line) => {
      const entry = entryOf(JSON.parse(line) as Line);
      return [entry.path, entry];
    }),
  );
}

function entryOf([path, kind, permissions, uid, gid, size, modified, link, sum]: Line): TreeEntry {
  return {
    path,
    kind,
    permissions,
    uid,
    gid,
    sizeBytes: size,
    modifiedNano: BigInt(modified),
    linkName: link,
    deviceMajor: 0,
    deviceMinor: 0,
    xattrs: {},
    ...(sum !== undefined && { sum }),
  };
}

/** An index for those who only want to know what is in the tree. */
export function knownFiles(index: TreeIndex): KnownFiles {
  const children = new Map<string, string[]>();
  for (const path of index.keys()) {
    const parent = parentOf(path);
    const names = children.get(parent);
    const name = parent === "" ? path : path.slice(parent.length + 1);
    if (names === undefined) children.set(parent, [name]);
    else names.push(name);
  }
  for (const names of children.values()) names.sort();
  return {
    entry(path) {
      const entry = index.get(path);
      if (entry === undefined) return undefined;
      const { permissions, linkName: linkTarget } = entry;
      const kind =
        entry.kind === "file" || entry.kind === "directory" || entry.kind === "symlink"
          ? entry.kind
          : "other";
      // A hard link is the file that it is a link to.
      const file = kind === "file" && linkTarget !== "" ? index.get(linkTarget) : entry;
      return { kind, permissions: file?.permissions ?? permissions, sum: file?.sum, linkTarget };
    },
    children: (path) => children.get(path) ?? [],
  };
}
