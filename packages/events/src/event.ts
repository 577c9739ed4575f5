/** One thing that happened, in Docker's terms, and its place in the log of the service that made it. */

/** An event before it is logged. */
export interface NewEvent {
  /** Docker's object type: `container`, `image`, `network`, `volume`, `daemon`, `builder`. */
  readonly type: string;
  /** Docker's action, for example `start`, `die`, `exec_create: sh -c true`. */
  readonly action: string;
  /** ID of the object in Docker's form; the name for image pull and push. */
  readonly actorId: string;
  /** Docker's attributes of the object. */
  readonly attributes: Readonly<Record<string, string>>;
  /** Wall clock, nanoseconds since the Unix epoch. Default: now. */
  readonly timeNano?: bigint;
}

/** An event in the log. */
export interface LoggedEvent extends Required<NewEvent> {
  /** Service whose log holds the event. */
  readonly service: string;
  /** Position in that log: 1, 2, 3, … without holes. */
  readonly seq: number;
  /** De-duplication key: `<service>:<store id>:<seq>`. */
  readonly msgId: string;
}

/**
 * NATS subject of an event: `gantry.events.<type>.<action word>.<id>`. The action word is the action
 * without its argument (`exec_create: sh` → `exec_create`). What would be syntax in a subject (dots,
 * wildcards, white space) becomes `_`, so that a token is always one token.
 */
export function eventSubject(event: Pick<NewEvent, "type" | "action" | "actorId">): string {
  const word = event.action.split(":")[0] ?? "";
  return `gantry.events.${token(event.type)}.${token(word)}.${token(event.actorId)}`;
}

function token(text: string): string {
  return text === "" ? "_" : text.replaceAll(/[.*>\s]/g, "_");
}

/** Docker's event JSON plus `service`, `seq` and `msgId`, as published on NATS. */
export function eventJson(event: LoggedEvent): string {
  const fields = {
    Type: event.type,
    Action: event.action,
    Actor: { ID: event.actorId, Attributes: event.attributes },
    scope: "local",
    time: Number(event.timeNano / 1_000_000_000n),
    service: event.service,
    seq: event.seq,
    msgId: event.msgId,
  };
  // Written by hand: nanoseconds do not fit into a double, and Docker's field is a number.
  return `${JSON.stringify(fields).slice(0, -1)},"timeNano":${String(event.timeNano)}}`;
}
