/** Which files of a tree a source path or pattern of COPY means. */
import { readdirSync } from "node:fs";
import { MissingSource } from "../../domain/build-failure.ts";
import { pathPatternSource } from "../../domain/dockerfile/dockerignore.ts";
import { type Place, placeIn, statOf } from "./in-root.ts";

/** A file that is meant. */
export interface MatchedSource {
  readonly place: Place;
  /** Path in the tree, as matched, relative. */
  readonly name: string;
}

/** Whether a path is a pattern. */
function isPattern(path: string): boolean {
  return /[*?[]/.test(path);
}

/**
 * Finds what a path means. A pattern that matches nothing is no error; a plain path that isn't there is.
 * Throws MissingSource.
 */
export function matchSources(root: string, path: string): MatchedSource[] {
  const segments = path.split("/").filter((segment) => segment !== "" && segment !== ".");
  if (!isPattern(path)) {
    const place = placeIn(root, path, true);
    if (place.stat === undefined) throw new MissingSource(`/${segments.join("/")}`);
    return [{ place, name: segments.join("/") }];
  }
  let found: string[] = [""];
  for (const segment of segments) {
    found = found.flatMap((name) => childrenMatching(root, name, segment));
  }
  return found.map((name) => ({ place: placeIn(root, name, true), name }));
}

function childrenMatching(root: string, name: string, segment: string): string[] {
  const join = (child: string): string => (name === "" ? child : `${name}/${child}`);
  if (!isPattern(segment)) {
    const child = join(segment);
    return placeIn(root, child, true).stat === undefined ? [] : [child];
  }
  const folder = placeIn(root, name, true);
  if (folder.stat?.isDirectory() !== true) return [];
  if (segment === "**") return [name, ...below(folder.path, name)];
  const form = new RegExp(`^${pathPatternSource([segment])}$`, "s");
  return readdirSync(folder.path)
    .sort()
    .filter((child) => form.test(child))
    .map(join);
}

/** All folders below. */
function below(path: string, name: string): string[] {
  return readdirSync(path)
    .sort()
    .flatMap((child) => {
      if (!(statOf(`${path}/${child}`)?.isDirectory() ?? false)) return [];
      const childName = name === "" ? child : `${name}/${child}`;
      return [childName, ...below(`${path}/${child}`, childName)];
    });
}
