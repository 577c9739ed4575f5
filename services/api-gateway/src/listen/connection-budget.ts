/** How many connections there may be at once. */
import type { Socket } from "node:net";

/** Counts open connections and refuses what is too much. */
export class ConnectionBudget {
  readonly #max: number;
  readonly #sockets = new Set<Socket>();

  constructor(max: number) {
    this.#max = max;
  }

  /** Counts a connection in until it closes; false when there is no room: it is destroyed. */
  admit(socket: Socket): boolean {
    if (this.#sockets.size >= this.#max) {
      socket.destroy();
      return false;
    }
    this.#sockets.add(socket);
    socket.once("close", () => {
      this.#sockets.delete(socket);
    });
    return true;
  }

  /** Open connections. */
  get size(): number {
    return this.#sockets.size;
  }

  /** Cuts every connection. */
  destroyAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}
