/** Docker's event filters: all keys must match, any value of a key may. */
import type { Event } from "@gantry/proto/event";
import type { Filters } from "./decode/filters.ts";

/** Keys that `GET /events` takes. */
export const eventKeys: ReadonlySet<string> = new Set([
  "config",
  "container",
  "daemon",
  "event",
  "image",
  "label",
  "network",
  "node",
  "plugin",
  "scope",
  "secret",
  "service",
  "type",
  "volume",
]);

type Test = (event: Event, value: string) => boolean;

/** Builds the test of one request. */
export function eventFilter(filters: Filters): (event: Event) => boolean {
  const tests = [...filters]
    .filter(([, values]) => values.length > 0)
    .map(([key, values]) => testOf(key, values));
  return (event) => tests.every((test) => test(event));
}

function testOf(key: string, values: readonly string[]): (event: Event) => boolean {
  if (key === "label") return (event) => values.every((value) => hasLabel(event, value));
  const test = tests[key] ?? objectTest(key);
  return (event) => values.some((value) => test(event, value));
}

/** Actions that carry an argument behind a colon are matched by their word, too. */
const withArgument = ["exec_create", "exec_start", "health_status"];

const tests: Readonly<Record<string, Test>> = {
  type: (event, value) => event.type === value,
  scope: (_event, value) => value === "local",
  event: (event, value) =>
    event.action === value || (withArgument.includes(value) && event.action.startsWith(value)),
  image: matchesImage,
};

function hasLabel({ attributes }: Event, label: string): boolean {
  const equals = label.indexOf("=");
  return equals === -1
    ? attributes[label] !== undefined
    : attributes[label.slice(0, equals)] === label.slice(equals + 1);
}

/** An object of this type whose ID or name begins with the value. */
function objectTest(type: string): Test {
  return (event, value) =>
    event.type === type &&
    (event.actorId.startsWith(value) || (event.attributes["name"] ?? "").startsWith(value));
}

/** ID, name, or name without tag; container events match by their image. */
function matchesImage({ type, actorId, attributes }: Event, value: string): boolean {
  if (type !== "image" && type !== "container") return false;
  const name = attributes[type === "image" ? "name" : "image"] ?? "";
  const names = type === "image" ? [actorId, name] : [name];
  return names.some((each) => each === value || withoutTag(each) === value);
}

function withoutTag(reference: string): string {
  return reference.replace(/@.*$/, "").replace(/:[^/:]*$/, "");
}
