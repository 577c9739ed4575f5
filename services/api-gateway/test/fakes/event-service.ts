/** An event log over an array. */
import { type EventEmitter, once } from "node:events";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type EventSchema, EventService } from "@gantry/proto/event";
import { type Implementation, implement } from "@gantry/rpc";

/** An event as tests write it. */
export type EventInit = MessageInitShape<typeof EventSchema>;

/** An event log over an array. */
export function fakeEvents(
  events: readonly EventInit[],
  added: EventEmitter,
  service: string,
): Implementation {
  return implement(EventService, {
    async *subscribe(request, { signal }) {
      let at = request.cursor === "" ? events.length : Number(request.cursor.split("-").at(-1));
      if (request.cursor === "" && request.sinceNano !== 0n) {
        const first = events.findIndex((each) => (each.timeNano ?? 0n) >= request.sinceNano);
        at = first === -1 ? events.length : first;
      }
      const word = service.replace("-", "_");
      yield { cursor: `${word}-${String(at)}` };
      while (!signal.aborted) {
        const event = events[at];
        if (event !== undefined) {
          if (request.untilNano !== 0n && (event.timeNano ?? 0n) > request.untilNano) return;
          at++;
          yield { event, cursor: `${word}-${String(at)}` };
          continue;
        }
        const leftMs = Number(request.untilNano / 1_000_000n) - Date.now();
        if (request.untilNano !== 0n && leftMs <= 0) return;
        const timeout =
          request.untilNano === 0n
            ? signal
            : AbortSignal.any([signal, AbortSignal.timeout(leftMs + 1)]);
        await once(added, "added", { signal: timeout }).catch(() => undefined);
      }
    },
  });
}
