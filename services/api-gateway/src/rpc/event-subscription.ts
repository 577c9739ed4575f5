/**
 * EventService over all services' logs. The cursor that clients hold joins one cursor per service:
 * base64url of `service=cursor` pairs, separated by commas.
 */
import { invalidArgument } from "@gantry/errors";
import type { SubscribeRequest } from "@gantry/proto/event";
import { mergedEvents } from "../app/merged-events.ts";
import type { EventSource } from "../backends.ts";

/** Subscribes to all. The first response comes at once, without event. */
export async function* subscribeToAll(
  sources: readonly EventSource[],
  request: SubscribeRequest,
  signal: AbortSignal,
) {
  const cursors = parseCursors(request.cursor);
  const { sinceNano, untilNano } = request;
  const steps = await mergedEvents(sources, { sinceNano, untilNano, cursors, signal });
  yield { cursor: formatCursors(cursors), gap: false };
  for await (const { source, event, cursor, gap } of steps) {
    cursors[source] = cursor;
    const position = { cursor: formatCursors(cursors), gap };
    yield event === undefined ? position : { ...position, event };
  }
}

function formatCursors(cursors: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(cursors).map(([name, cursor]) => `${name}=${cursor}`);
  return Buffer.from(pairs.join(",")).toString("base64url");
}

function parseCursors(text: string): Record<string, string> {
  if (text === "") return {};
  const plain = Buffer.from(text, "base64url").toString();
  if (!/^[a-z-]+=[\w-]+(,[a-z-]+=[\w-]+)*$/.test(plain)) {
    throw invalidArgument("malformed event cursor");
  }
  return Object.fromEntries(
    plain.split(",").map((pair) => {
      const equals = pair.indexOf("=");
      return [pair.slice(0, equals), pair.slice(equals + 1)];
    }),
  );
}
