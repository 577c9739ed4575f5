/** gantry.event.v1.EventService over a log. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { EventService, type SubscribeResponseSchema } from "@gantry/proto/event";
import { type Implementation, implement } from "@gantry/rpc";
import type { LoggedEvent } from "./event.ts";
import type { EventSource, SubscriptionStep } from "./event-feed.ts";

/** Serves a service's log. */
export function implementEventService(log: EventSource): Implementation {
  return implement(EventService, {
    async *subscribe(request, { signal }) {
      const steps = log.subscribe({
        cursor: request.cursor,
        sinceNano: request.sinceNano === 0n ? undefined : request.sinceNano,
        untilNano: request.untilNano === 0n ? undefined : request.untilNano,
        signal,
      });
      for await (const step of steps) yield responseOf(step);
    },
  });
}

function responseOf(step: SubscriptionStep): MessageInitShape<typeof SubscribeResponseSchema> {
  const { cursor, gap } = step;
  return step.event === undefined ? { cursor, gap } : { cursor, gap, event: wireEvent(step.event) };
}

function wireEvent(event: LoggedEvent) {
  return { ...event, attributes: { ...event.attributes }, seq: BigInt(event.seq) };
}
