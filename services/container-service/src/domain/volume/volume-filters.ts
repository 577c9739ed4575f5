/** Docker's filters of volumes. */
import { invalidArgument } from "@gantry/errors";
import { isAnonymous, type VolumeRecord } from "./records.ts";

/** For each key the values; within a key any may match (labels: all must). */
export type VolumeFilter = ReadonlyMap<string, readonly string[]>;

function checkKeys(filter: VolumeFilter, allowed: readonly string[]): void {
  for (const key of filter.keys()) {
    if (!allowed.includes(key)) throw invalidArgument(`invalid filter '${key}'`);
  }
}

/** Errors: invalid_argument. */
export function checkListFilter(filter: VolumeFilter): void {
  checkKeys(filter, ["dangling", "driver", "label", "name"]);
  if (filter.has("dangling")) parseFlag("dangling", filter.get("dangling") ?? []);
}

/** Errors: invalid_argument. */
export function checkPruneFilter(filter: VolumeFilter): void {
  checkKeys(filter, ["label", "label!", "all"]);
}

function parseFlag(key: string, values: readonly string[]): boolean {
  const [value = ""] = values;
  if (values.length === 1 && ["1", "true"].includes(value)) return true;
  if (values.length === 1 && ["0", "false"].includes(value)) return false;
  const shown = values.length === 0 ? "" : `=[${values.join(" ")}]`;
  throw invalidArgument(`invalid filter '${key}${shown}'`);
}

/** Whether a volume is in the list. */
export function isListed(volume: VolumeRecord, filter: VolumeFilter, inUse: boolean): boolean {
  const any = (key: string, matches: (value: string) => boolean): boolean => {
    const values = filter.get(key);
    return values === undefined || values.length === 0 || values.some(matches);
  };
  return (
    any("driver", (value) => volume.driver === value) &&
    any("name", (value) => matchesName(volume.name, value)) &&
    hasLabels(volume.labels, filter.get("label") ?? []) &&
    (!filter.has("dangling") || parseFlag("dangling", filter.get("dangling") ?? []) === !inUse)
  );
}

/** A part of the name, or a regular expression for it. */
function matchesName(name: string, wanted: string): boolean {
  if (name.includes(wanted)) return true;
  // The name has at most 255 letters, but an expression can take for ever with few.
  if (wanted.length > maxExpression || /[*+{]/.test(wanted)) return false;
  try {
    return new RegExp(wanted, "u").test(name);
  } catch {
    return false;
  }
}

const maxExpression = 256;

/** Whether prune may take an unused volume. `all`: named ones, too. */
export function isPrunable(volume: VolumeRecord, filter: VolumeFilter, all: boolean): boolean {
  const unwanted = filter.get("label!") ?? [];
  return (
    (all || isAnonymous(volume)) &&
    Object.keys(volume.options).length === 0 &&
    hasLabels(volume.labels, filter.get("label") ?? []) &&
    !unwanted.some((text) => hasLabels(volume.labels, [text]))
  );
}

/** `key` or `key=value`, all of them. */
function hasLabels(labels: Readonly<Record<string, string>>, wanted: readonly string[]): boolean {
  return wanted.every((text) => {
    const equals = text.indexOf("=");
    const key = equals < 0 ? text : text.slice(0, equals);
    if (!Object.hasOwn(labels, key)) return false;
    return equals < 0 || labels[key] === text.slice(equals + 1);
  });
}
