/** Collects the events of a brain, and waits for particular ones. */
import type { ShimMessage, WatchResponse } from "@gantry/proto/shim";
import { eventually } from "@gantry/testkit";
import type { ShimClient } from "./forms.ts";

type Message = ShimMessage["message"];
type Case = Exclude<Message["case"], undefined>;
type ValueOf<C extends Case> = Extract<Message, { case: C }>["value"];

export interface EventLog extends Disposable {
  /** Events of one kind and container so far. */
  of<C extends Case>(id: string, kind: C): ValueOf<C>[];
  /** The first one, waited for. */
  first<C extends Case>(id: string, kind: C): Promise<ValueOf<C>>;
}

/** Resolves when the watch is established. */
export function openEventLog(client: ShimClient): EventLog {
  const events: WatchResponse[] = [];
  const stop = new AbortController();
  void collect(client.watch({}, { signal: stop.signal }), events);
  const of = <C extends Case>(id: string, kind: C): ValueOf<C>[] =>
    events.flatMap((event) =>
      event.id === id && event.event?.message.case === kind
        ? [event.event.message.value as ValueOf<C>]
        : [],
    );
  return {
    of,
    async first(id, kind) {
      const found = await eventually(() => of(id, kind).length > 0 && of(id, kind), {
        intervalMs: 5,
      });
      const [first] = found;
      if (first === undefined) throw new Error("unreachable: the list was not empty");
      return first;
    },
    [Symbol.dispose]: () => {
      stop.abort();
    },
  };
}

async function collect(
  source: AsyncIterable<WatchResponse>,
  events: WatchResponse[],
): Promise<void> {
  try {
    for await (const event of source) events.push(event);
  } catch {
    // The brain was ended by its test.
  }
}
