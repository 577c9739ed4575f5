/** The sessions that are open, by the ID that clients chose. */
import type { Duplex } from "node:stream";
import { EngineError, invalidArgument } from "@gantry/errors";
import { Session, type SessionIntroduction } from "./session.ts";

/** A build may name its session before the session's connection has come through. */
const arrivalMs = 5000;

/** All sessions. */
export class SessionRegistry {
  readonly #sessions = new Map<string, Session>();
  readonly #waiting = new Map<string, Set<() => void>>();
  readonly #onChange: () => void;

  /** @param onChange called when a session came or went. */
  constructor(onChange: () => void = () => undefined) {
    this.#onChange = onChange;
  }

  /** How many are open. */
  get size(): number {
    return this.#sessions.size;
  }

  /** Throws invalid_argument for an ID that is in use. */
  assertFree(id: string): void {
    if (id === "") throw invalidArgument("session ID is empty");
    if (this.#sessions.has(id)) throw invalidArgument(`session ${id} already exists`);
  }

  /** Opens a session on a connection. Throws invalid_argument for an ID that is in use. */
  open(introduction: SessionIntroduction, connection: Duplex): Session {
    const { id } = introduction;
    this.assertFree(id);
    const session = new Session(introduction, connection);
    this.#sessions.set(id, session);
    for (const wake of this.#waiting.get(id) ?? []) wake();
    this.#onChange();
    void session.closed.then(() => {
      this.#sessions.delete(id);
      this.#onChange();
    });
    return session;
  }

  /** The session of that ID, which may take a moment to come. Throws not_found when it doesn't. */
  async get(name: string, signal: AbortSignal): Promise<Session> {
    const id = name.slice(name.lastIndexOf(":") + 1);
    const session = this.#sessions.get(id) ?? (await this.#arrival(id, signal));
    if (session !== undefined) return session;
    throw new EngineError("not_found", `no active session for ${id}: context deadline exceeded`);
  }

  /** Ends all. */
  close(): void {
    for (const session of this.#sessions.values()) session.destroy();
  }

  #arrival(id: string, signal: AbortSignal): Promise<Session | undefined> {
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(id) ?? new Set();
      this.#waiting.set(id, waiting);
      const finish = (): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", finish);
        waiting.delete(finish);
        if (waiting.size === 0) this.#waiting.delete(id);
        resolve(this.#sessions.get(id));
      };
      const timer = setTimeout(finish, arrivalMs);
      waiting.add(finish);
      if (signal.aborted) finish();
      else signal.addEventListener("abort", finish, { once: true });
    });
  }
}
