/**
 * Sums of files as Docker's classic builder names what it has copied: SHA-256 of the fields of each file's tar header,
 * but for its time, and of its content (moby's tarsum, version 1). The client's archives say 0:0 and no names of owners.
 */
import { createHash } from "node:crypto";
import { createReadStream, readdirSync, type Stats } from "node:fs";
import { placeIn } from "./in-root.ts";
import { matchSources } from "./match-sources.ts";

interface TarSumOptions {
  /** Of a file that was downloaded. */
  readonly name: string | undefined;
  /** Of a stage or an image, not of the context. */
  readonly ofTree: boolean;
  readonly signal: AbortSignal;
}

/** One for each file or folder that is meant. Throws MissingSource. */
export async function tarSums(
  root: string,
  path: string,
  options: TarSumOptions,
): Promise<string[]> {
  const { name, signal } = options;
  const sums: string[] = [];
  for (const { place } of matchSources(root, path, false)) {
    const { stat } = place;
    if (stat === undefined) continue;
    const here = place.path.slice(root.length + 1);
    if (stat.isDirectory()) sums.push(`dir:${await sumOfFolder(root, here, options)}`);
    else if (name === undefined)
      sums.push(`file:${await sumOfEntry(place.path, here, stat, signal)}`);
    else sums.push(await sumOfEntry(place.path, name, stat, signal));
  }
  return sums;
}

async function sumOfFolder(root: string, folder: string, options: TarSumOptions): Promise<string> {
  const { signal } = options;
  const sums: string[] = [];
  const visit = async (path: string): Promise<void> => {
    signal.throwIfAborted();
    const place = placeIn(root, path, true);
    const target = place.path.slice(root.length + 1);
    // A link that leads nowhere has no sum: a path stands there.
    if (place.stat === undefined) sums.push(options.ofTree ? target : path);
    else if (path !== "") sums.push(await sumOfEntry(place.path, target, place.stat, signal));
    const own = placeIn(root, path, false);
    if (own.stat?.isDirectory() !== true) return;
    for (const child of readdirSync(own.path))
      await visit(path === "" ? child : `${path}/${child}`);
  };
  await visit(folder);
  return createHash("sha256").update(sums.sort(byBytes).join(",")).digest("hex");
}

const byBytes = (one: string, other: string): number =>
  Buffer.compare(Buffer.from(one), Buffer.from(other));

async function sumOfEntry(
  file: string,
  name: string,
  stat: Stats,
  signal: AbortSignal,
): Promise<string> {
  const hash = createHash("sha256");
  for (const [field, value] of headerOf(name, stat)) hash.update(`${field}${String(value)}`);
  if (stat.isFile() && stat.size > 0) {
    for await (const chunk of createReadStream(file, { signal })) hash.update(chunk as Buffer);
  }
  return hash.digest("hex");
}

function headerOf(name: string, stat: Stats): [string, string | number][] {
  const isDevice = stat.isBlockDevice() || stat.isCharacterDevice();
  return [
    ["name", stat.isDirectory() ? `${name}/` : name],
    ["mode", stat.mode & 0o7777],
    ["uid", stat.uid],
    ["gid", stat.gid],
    ["size", stat.isFile() ? stat.size : 0],
    ["typeflag", typeOf(stat)],
    ["linkname", ""],
    ["uname", ""],
    ["gname", ""],
    ["devmajor", isDevice ? (stat.rdev >> 8) & 0xfff : 0],
    ["devminor", isDevice ? (stat.rdev & 0xff) | ((stat.rdev >> 12) & 0xfff00) : 0],
  ];
}

/** Of what is no link. */
function typeOf(stat: Stats): string {
  if (stat.isDirectory()) return "5";
  if (stat.isCharacterDevice()) return "3";
  if (stat.isBlockDevice()) return "4";
  return stat.isFIFO() ? "6" : "0";
}
