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
  throw invalidArgument(`invalid value for filter '${key}': ${JSON.stringify(values)}`);
}

/** Whether a volume is in the list. */
export function isListed(volume: VolumeRecord, filter: VolumeFilter, inUse: boolean): boolean {
  const any = (key: string, matches: (value: string) => boolean): boolean => {
    const values = filter.get(key);
    return values === undefined || values.length === 0 || values.some(matches);
  };
  return (
    any("driver", (value) => volume.driver === value) &&
    any("name", (value) => volume.name.includes(value)) &&
    hasLabels(volume.labels, filter.get("label") ?? []) &&
    (!filter.has("dangling") || parseFlag("dangling", filter.get("dangling") ?? []) === !inUse)
  );
}

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
