/** One line per request, at debug: who asked for what, and how it went. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { Logger } from "@gantry/logging";

/** Writes the lines; does nothing at all while switched off. */
export class AccessLog {
  readonly #logger: Logger;
  #enabled: boolean;
  #lastId = 0;

  constructor(logger: Logger, enabled: boolean) {
    this.#logger = logger;
    this.#enabled = enabled;
  }

  setEnabled(enabled: boolean): void {
    this.#enabled = enabled;
  }

  /** A request with an ordinary answer. */
  request(request: IncomingMessage, response: ServerResponse): void {
    if (!this.#enabled) return;
    const fields = this.#begin(request);
    const start = performance.now();
    response.once("close", () => {
      // 499: the client went away before the answer was complete.
      const status = response.writableFinished ? response.statusCode : 499;
      this.#logger.debug({ ...fields, status, ms: elapsed(start) }, "request");
    });
  }

  /** A request whose handler took the socket over. */
  takeover(request: IncomingMessage, socket: Duplex): void {
    if (!this.#enabled) return;
    const fields = this.#begin(request);
    const start = performance.now();
    socket.once("close", () => {
      this.#logger.debug({ ...fields, ms: elapsed(start) }, "stream ended");
    });
  }

  #begin(request: IncomingMessage) {
    const fields = {
      requestId: `${process.pid.toString(36)}-${(++this.#lastId).toString(36)}`,
      method: request.method,
      url: request.url,
      agent: request.headers["user-agent"],
    };
    this.#logger.debug(fields, "request begins");
    return fields;
  }
}

const elapsed = (start: number): number => Math.round((performance.now() - start) * 1000) / 1000;
