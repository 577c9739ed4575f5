/** Attach: a ticket for the container's streams, which its shim process serves. */
import { conflict, hasKind } from "@gantry/errors";
import { parseDetachKeys } from "../domain/detach-keys.ts";
import { type App, containerEvent } from "./context.ts";
import type { Entry } from "./entry.ts";

/** What to attach. */
export interface AttachOptions {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Docker's syntax, empty = default. */
  readonly detachKeys: string;
}

/** Where to connect. */
export interface StreamEndpoint {
  readonly path: string;
  readonly ticket: Uint8Array;
}

/** An unused ticket of a running container is forgotten after this time. */
const ticketTtlMs = 30_000;

/** The container that can be attached to. Errors: not_found, conflict (paused, restarting). */
export function attachable(app: App, reference: string): Entry {
  const entry = app.registry.find(reference);
  switch (entry.record.state.status) {
    case "paused":
      throw conflict(`container ${reference} is paused, unpause the container before attach`);
    case "restarting":
      throw conflict(`container ${reference} is restarting, wait until the container is running`);
    case "removing":
    case "dead":
      throw conflict(`container ${reference} is marked for removal and cannot be attached to`);
    case "created":
    case "starting":
    case "running":
    case "exited":
      return entry;
  }
}

/**
 * Gives a ticket and tells the event. Undefined when the run has just ended: as for who was attached before, there is
 * nothing more to come. Errors: invalid_argument (detach keys).
 */
export async function attachContainer(
  app: App,
  entry: Entry,
  options: AttachOptions,
): Promise<StreamEndpoint | undefined> {
  const { tty, openStdin } = entry.record.config;
  const keys = parseDetachKeys(options.detachKeys);
  // Keys are looked for where a person types: with a terminal and standard input.
  const detachKeys = tty && options.stdin ? keys : new Uint8Array();
  const running = entry.record.state.status === "running";
  const ticket = await issueTicket(app, {
    id: entry.id,
    running,
    options: {
      stdin: options.stdin && openStdin,
      stdout: options.stdout,
      stderr: options.stderr,
      framed: !tty,
      detachKeys,
      // Before the start a client waits as long as it likes.
      ttlMs: running ? ticketTtlMs : 0,
    },
  });
  app.store.append([containerEvent(entry.record, "attach")]);
  await app.store.settled();
  return ticket;
}

async function issueTicket(
  app: App,
  request: Parameters<App["shim"]["issueTicket"]>[0],
): Promise<StreamEndpoint | undefined> {
  try {
    const { path, ticket } = await app.shim.issueTicket(request);
    return { path, ticket };
  } catch (error) {
    if (request.running !== true || !hasKind(error, "conflict")) throw error;
    return undefined;
  }
}
