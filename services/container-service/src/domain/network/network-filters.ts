/** Docker's filters of networks. */
import { internal, invalidArgument } from "@gantry/errors";
import { predefinedNames } from "./network-modes.ts";
import { type NetworkRecord, shownDriver, shownScope } from "./records.ts";

/** For each key the values; within a key any may match (labels: all must). */
export type NetworkFilter = ReadonlyMap<string, readonly string[]>;

const listKeys: readonly string[] = ["dangling", "driver", "id", "label", "name", "scope", "type"];
const pruneKeys: readonly string[] = ["label", "label!", "until"];

/** Errors: invalid_argument (`invalid filter 'foo'`), internal (an unknown type, as Docker has it). */
export function checkListFilter(filter: NetworkFilter): void {
  checkKeys(filter, listKeys);
  for (const value of filter.get("type") ?? []) {
    if (value !== "builtin" && value !== "custom") {
      throw internal(`invalid filter: 'type'='${value}'`);
    }
  }
  if (filter.get("dangling")?.length) parseFlag(filter.get("dangling") ?? []);
}

function checkKeys(filter: NetworkFilter, allowed: readonly string[]): void {
  for (const key of filter.keys()) {
    if (!allowed.includes(key)) throw invalidArgument(`invalid filter '${key}'`);
  }
}

function parseFlag(values: readonly string[]): boolean {
  const [value = ""] = values;
  if (values.length === 1 && ["1", "true"].includes(value)) return true;
  if (values.length === 1 && ["0", "false"].includes(value)) return false;
  throw invalidArgument(
    values.length > 1
      ? 'got more than one value for filter key "dangling"'
      : `invalid value for filter 'dangling', must be "true" (or "1"), or "false" (or "0")`,
  );
}

/** Whether a network is in the list; `inUse`: a container has an endpoint in it. */
export function isListed(network: NetworkRecord, filter: NetworkFilter, inUse: boolean): boolean {
  const any = (key: string, matches: (value: string) => boolean): boolean => {
    const values = filter.get(key);
    return values === undefined || values.length === 0 || values.some(matches);
  };
  const builtin = predefinedNames.includes(network.name);
  return (
    any("driver", (value) => shownDriver(network) === value) &&
    any("id", (value) => matches(network.id, value)) &&
    any("name", (value) => matches(network.name, value)) &&
    any("scope", (value) => value === shownScope(network)) &&
    any("type", (value) => (value === "builtin") === builtin) &&
    hasLabels(network.labels, filter.get("label") ?? []) &&
    (!filter.get("dangling")?.length ||
      parseFlag(filter.get("dangling") ?? []) === (!builtin && !inUse))
  );
}

/** As Docker: a text or a pattern found in it; what is no pattern matches nothing but itself. */
function matches(text: string, pattern: string): boolean {
  if (text === pattern) return true;
  try {
    return new RegExp(pattern).test(text);
  } catch (error) {
    if (error instanceof SyntaxError) return false;
    throw error;
  }
}

/** `key` or `key=value`, all of them. */
function hasLabels(labels: Readonly<Record<string, string>>, wanted: readonly string[]): boolean {
  return wanted.every((text) => hasLabel(labels, text));
}

function hasLabel(labels: Readonly<Record<string, string>>, text: string): boolean {
  const equals = text.indexOf("=");
  const key = equals < 0 ? text : text.slice(0, equals);
  if (!Object.hasOwn(labels, key)) return false;
  return equals < 0 || labels[key] === text.slice(equals + 1);
}

/** Errors: invalid_argument. */
export function checkPruneFilter(filter: NetworkFilter): void {
  checkKeys(filter, pruneKeys);
  if ((filter.get("until")?.length ?? 0) > 1) {
    throw invalidArgument("more than one until filter specified");
  }
}

/** Whether prune may take an unused network. `until` values are nanoseconds since the epoch, decimal. */
export function isRemovable(network: NetworkRecord, filter: NetworkFilter): boolean {
  // Nobody is ever connected to a configuration.
  if (predefinedNames.includes(network.name) || network.configOnly) return false;
  const until = filter.get("until")?.[0];
  if (until !== undefined && BigInt(network.createdNano) > BigInt(until)) return false;
  const unwanted = filter.get("label!") ?? [];
  return (
    hasLabels(network.labels, filter.get("label") ?? []) &&
    !unwanted.some((text) => hasLabel(network.labels, text))
  );
}
