/** The file that says what a kept tree holds: the directory's key, then an entry a line. */
import { readFile } from "node:fs/promises";
import { hasErrno } from "@gantry/errors";
import type { TreeEntry } from "../session/entry.ts";
import type { EntryKind } from "../session/file-mode.ts";
import type { TreeIndex } from "./tree-writer.ts";

type Line = readonly [
  path: string,
  kind: EntryKind,
  permissions: number,
  uid: number,
  gid: number,
  size: number,
  modified: string,
  link: string,
];

/** An index as text. */
export function writeIndex(key: string, index: TreeIndex): string {
  const lines = [JSON.stringify(key)];
  for (const entry of index.values()) {
    const { path, kind, permissions, uid, gid, sizeBytes, modifiedNano, linkName } = entry;
    const line: Line = [
      path,
      kind,
      permissions,
      uid,
      gid,
      sizeBytes,
      String(modifiedNano),
      linkName,
    ];
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

function entryOf([path, kind, permissions, uid, gid, size, modified, link]: Line): TreeEntry {
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
  };
}
