/** Describes a path of a container (`docker cp`). */
import nodePath from "node:path/posix";
import { internal, invalidArgument } from "@gantry/errors";
import type { RootView, StatResult } from "../ports/archives.ts";
import { type ArchiveWork, archiveError } from "./archive-errors.ts";
import { withRoot } from "./container-root.ts";
import type { App } from "./context.ts";

/** Errors: not_found (container, path), invalid_argument. */
export async function statPath(
  app: App,
  reference: string,
  path: string,
  signal: AbortSignal,
): Promise<StatResult> {
  const entry = app.registry.find(reference);
  requirePath(path);
  return await withRoot(app, entry, (view) => statIn(app, view, { reference, path }, signal));
}

export function requirePath(path: string): void {
  if (path === "") throw invalidArgument("bad parameter: path cannot be empty");
  if (path.includes("\0")) throw internal(`lstat ${path}: invalid argument`);
}

/** A path as the caller named it. */
export interface StatTarget {
  readonly reference: string;
  readonly path: string;
  /** As the caller named it, where that is another one. */
  readonly asked?: string;
  /** Looked at in its place. */
  readonly resolved?: string;
}

/** The path of a copy as dockerd takes it: without `.` and `..`, by its letters alone; what its end says stays. */
export function cleanPath(path: string): string {
  const clean = nodePath.resolve("/", path);
  const isItself = nodePath.basename(path) === ".";
  const ended = isItself ? `${clean === "/" ? "" : clean}/.` : clean;
  return path.endsWith("/") && !ended.endsWith("/") ? `${ended}/` : ended;
}

/** Of a path that climbs, where it ends counts: `..` would be an archive's way out. */
function entryName(path: string, name: string): string {
  return name === ".." ? nodePath.basename(nodePath.resolve("/", path)) || "/" : name;
}

/** The same in a view that is open already. */
export async function statIn(
  app: App,
  view: RootView,
  { reference, path, asked = path, resolved }: StatTarget,
  signal: AbortSignal,
  work: ArchiveWork = "read",
): Promise<StatResult> {
  try {
    const stat = await app.archives.stat(view, resolved ?? path, signal);
    return { ...stat, name: entryName(path, stat.name) };
  } catch (error) {
    throw archiveError(error, reference, path, work, asked);
  }
}
