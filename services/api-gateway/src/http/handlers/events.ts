/** GET /events */
import { invalidArgument } from "@gantry/errors";
import type { Event } from "@gantry/proto/event";
import { mergedEvents } from "../../app/merged-events.ts";
import type { ApiCall } from "../api-call.ts";
import { readFilters } from "../decode/filters.ts";
import { parseTimestamp } from "../decode/timestamp.ts";
import { encodeEvent } from "../encode/event.ts";
import { opened } from "../encode/version-gates.ts";
import { eventFilter, eventKeys } from "../event-filter.ts";
import { write } from "../relay.ts";

/** How records are set apart. */
interface Framing {
  readonly contentType: string;
  readonly before: string;
}

const framings: readonly Framing[] = [
  { contentType: "application/jsonl", before: "" },
  { contentType: "application/x-ndjson", before: "" },
  { contentType: "application/json-seq", before: "\u001e" },
];

/** Streams events of all services until the client goes or `until` has passed. */
export async function events(call: ApiCall): Promise<void> {
  const { query, version, signal } = call;
  const sinceNano = parseTimestamp(query.text("since"));
  const untilNano = parseTimestamp(query.text("until"));
  if (sinceNano !== 0n && untilNano !== 0n && sinceNano > untilNano) {
    throw invalidArgument(
      `\`since\` time (${query.text("since")}) cannot be after \`until\` time (${query.text("until")})`,
    );
  }
  const wanted = eventFilter(readFilters(query, eventKeys));
  const framing = chooseFraming(call);
  const stream = await mergedEvents(call.backends.eventSources, { sinceNano, untilNano, signal });
  const response = call.startStream(framing.contentType);
  for await (const { event } of stream) {
    if (event === undefined || isHidden(event, version) || !wanted(event)) continue;
    await write(response, `${framing.before}${encodeEvent(event, version)}\n`);
  }
  response.end();
}

/** An explicit Accept wins, wildcards count as nothing; else by version. */
function chooseFraming(call: ApiCall): Framing {
  const accepted = call
    .header("accept")
    .split(",")
    .map((each) => each.split(";")[0]?.trim());
  const chosen = framings.find(({ contentType }) => accepted.includes(contentType));
  if (chosen !== undefined) return chosen;
  const plain = { contentType: "application/json", before: "" };
  return opened("eventsJsonl", call.version) ? (framings[0] ?? plain) : plain;
}

function isHidden(event: Event, version: number): boolean {
  return (
    event.type === "image" && event.action === "create" && !opened("imageCreateEvent", version)
  );
}
