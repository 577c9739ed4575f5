/** Events → Docker's JSON. */
import type { Event } from "@gantry/proto/event";
import { sorted, toHtmlSafeJson } from "./json.ts";
import { unixSeconds } from "./time.ts";
import { opened } from "./version-gates.ts";

/** One event, without a line end. */
export function encodeEvent(event: Event, version: number): string {
  return toHtmlSafeJson({
    ...(!opened("noLegacyEventFields", version) && legacyFields(event)),
    Type: event.type,
    Action: event.action,
    Actor: { ID: event.actorId, Attributes: sorted(event.attributes) },
    scope: "local",
    time: unixSeconds(event.timeNano),
    timeNano: event.timeNano,
  });
}

/** What clients before 25 read. */
function legacyFields({ type, action, actorId, attributes }: Event) {
  if (type === "container") {
    return { status: action, id: actorId, from: attributes["image"] ?? "" };
  }
  return type === "image" ? { status: action, id: actorId } : {};
}
