/** One client that lends its files, secrets and credentials to builds. */
import type { Duplex } from "node:stream";
import { hasKind } from "@gantry/errors";
import { Health } from "@gantry/proto/grpc-health";
import { ClientConnection } from "../wire/client-connection.ts";

/** What a client says of itself when it opens a session. */
export interface SessionIntroduction {
  readonly id: string;
  /** Stable between runs in the same folder; may be empty. */
  readonly sharedKey: string;
  /** Methods that the client serves, as `/package.Service/Method`. Empty: it doesn't say. */
  readonly methods: readonly string[];
}

/** How often a client is asked whether it is still there, and how long it may take. */
const healthIntervalMs = 5000;
const healthTimeoutMs = 15_000;
const maxFailures = 2;

/** A living session. */
export class Session {
  readonly id: string;
  readonly sharedKey: string;
  readonly connection: ClientConnection;
  /** Resolves when the client is gone. */
  readonly closed: Promise<void>;
  readonly #methods: ReadonlySet<string>;

  constructor(introduction: SessionIntroduction, connection: Duplex) {
    this.id = introduction.id;
    this.sharedKey = introduction.sharedKey;
    this.#methods = new Set(introduction.methods.map((each) => each.toLowerCase()));
    this.connection = new ClientConnection(connection);
    this.closed = this.connection.closed;
    this.#watchHealth();
  }

  /** Whether the client serves a method; those who list none are to be asked. */
  serves(method: string): boolean {
    return this.#methods.size === 0 || this.#methods.has(method.toLowerCase());
  }

  /** Ends it. */
  destroy(): void {
    this.connection.destroy();
  }

  #watchHealth(): void {
    let failures = 0;
    const check = async (): Promise<void> => {
      try {
        await this.connection.unary(Health.method.check, {}, { timeoutMs: healthTimeoutMs });
        failures = 0;
      } catch (error) {
        // Whoever answers that there is no such service is alive.
        failures = hasKind(error, "not_implemented") ? 0 : failures + 1;
        if (failures >= maxFailures) this.destroy();
      }
    };
    const timer = setInterval(() => void check(), healthIntervalMs);
    timer.unref();
    void this.closed.then(() => {
      clearInterval(timer);
    });
  }
}
