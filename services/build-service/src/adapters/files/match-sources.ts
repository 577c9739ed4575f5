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
 * Finds what a path means. A pattern that matches nothing is no error; a plain path that isn't there is, and so is a
 * match that leads nowhere. Links are followed up to the first segment that is a pattern, and what matches.
 * Throws MissingSource.
 * @param parents as of `COPY --parents`: `**` is any number of folders, and what leads nowhere is passed over
 */
export function matchSources(root: string, path: string, parents: boolean): MatchedSource[] {
  const segments = path.split("/").filter((segment) => segment !== "" && segment !== ".");
  if (!isPattern(path)) {
    const place = placeIn(root, path, true);
    if (place.stat === undefined) throw new MissingSource(`/${segments.join("/")}`);
    return [{ place, name: segments.join("/") }];
  }
  const first = segments.findIndex(isPattern);
  let found: string[] = [segments.slice(0, first).join("/")];
  for (const [index, segment] of segments.slice(first).entries()) {
    const isFollowing = index === 0 || parents;
    found = found.flatMap((name) =>
      childrenMatching(root, { name, isFollowing }, segment, parents),
    );
  }
  const matched = found.map((name) => ({ place: placeIn(root, name, true), name }));
  const broken = parents ? undefined : matched.find(({ place }) => place.stat === undefined);
  if (broken !== undefined) throw new MissingSource(`/${broken.name}`);
  return matched;
}

function childrenMatching(
  root: string,
  { name, isFollowing }: { readonly name: string; readonly isFollowing: boolean },
  segment: string,
  parents: boolean,
): string[] {
  const join = (child: string): string => (name === "" ? child : `${name}/${child}`);
  const folder = placeIn(root, name, isFollowing);
  if (folder.stat?.isDirectory() !== true) return [];
  if (!isPattern(segment)) {
    return statOf(`${folder.path}/${segment}`) === undefined ? [] : [join(segment)];
  }
  if (segment === "**" && parents) return [name, ...below(folder.path, name)];
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
