/**
 * Paths inside a tree that nobody else changes meanwhile: links are followed as if the tree's root were
 * `/`, so that nothing leads out of it.
 */
import { lstatSync, readlinkSync, type Stats } from "node:fs";
import { hasErrno } from "@gantry/errors";
import { BuildFailure } from "../../domain/build-failure.ts";

const maxLinks = 255;

/** A place in a tree. */
export interface Place {
  /** Real path on this machine: no component of it is a link, but maybe the last. */
  readonly path: string;
  /** Undefined: nothing is there (nor maybe at its parents). */
  readonly stat: Stats | undefined;
}

/** lstat, undefined when nothing is there. */
export function statOf(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch (error) {
    if (hasErrno(error, "ENOENT") || hasErrno(error, "ENOTDIR")) return undefined;
    throw error;
  }
}

/** Finds a path in a tree. @param followLast a link as the last component is followed, too */
export function placeIn(root: string, path: string, followLast: boolean): Place {
  let pending = segmentsOf(path);
  let found: string[] = [];
  let links = 0;
  while (pending.length > 0) {
    const [segment = "", ...rest] = pending;
    pending = rest;
    if (segment === "..") {
      found = found.slice(0, -1);
      continue;
    }
    const here = join(root, [...found, segment]);
    const stat = statOf(here);
    const isLink = stat?.isSymbolicLink() ?? false;
    if (!isLink || (rest.length === 0 && !followLast)) {
      found = [...found, segment];
      continue;
    }
    links += 1;
    if (links > maxLinks) throw new BuildFailure(`too many links in ${JSON.stringify(path)}`);
    const target = readlinkSync(here);
    if (target.startsWith("/")) found = [];
    pending = [...segmentsOf(target), ...rest];
  }
  const real = join(root, found);
  return { path: real, stat: statOf(real) };
}

function segmentsOf(path: string): string[] {
  return path.split("/").filter((segment) => segment !== "" && segment !== ".");
}

function join(root: string, segments: readonly string[]): string {
  return segments.length === 0 ? root : `${root}/${segments.join("/")}`;
}
