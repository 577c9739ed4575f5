import { EngineError } from "@gantry/errors";
import { type Client, connectivityState } from "@grpc/grpc-js";

/** How long calls wait for a peer that is away. */
export interface Patience {
  /** From the call on. 0: not at all. */
  readonly patienceMs: number;
  /** From the loss of the connection on: somebody is starting the peer again. 0: nobody does. */
  readonly restartMs: number;
}

/** Knows whether a peer is there, and waits for one that is not. */
export class Presence {
  readonly #wire: Client;
  readonly #peer: string;
  readonly #patience: Patience;
  /** When the last connection was lost, ms since the epoch. */
  #lostAt = -Infinity;

  constructor(wire: Client, peer: string, patience: Patience) {
    this.#wire = wire;
    this.#peer = peer;
    this.#patience = patience;
    if (patience.restartMs > 0) this.#watch();
  }

  /** Resolves when a call can be made, or without patience at once. Throws unavailable when the peer stays away. */
  async forCall(): Promise<void> {
    const { patienceMs, restartMs } = this.#patience;
    if (patienceMs === 0 && restartMs === 0) return;
    if (this.#wire.getChannel().getConnectivityState(true) === connectivityState.READY) return;
    await this.until(Math.max(Date.now() + patienceMs, this.#lostAt + restartMs));
  }

  /** Resolves when the peer accepts calls; throws unavailable after `deadline`, ms since the epoch. */
  until(deadline: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#wire.waitForReady(deadline, (error) => {
        if (error === undefined) resolve();
        else
          reject(
            new EngineError("unavailable", `${this.#peer} is not available`, { cause: error }),
          );
      });
    });
  }

  #watch(): void {
    const channel = this.#wire.getChannel();
    const state = channel.getConnectivityState(false);
    if (state === connectivityState.SHUTDOWN) return;
    channel.watchConnectivityState(state, Infinity, () => {
      if (state === connectivityState.READY) this.#lostAt = Date.now();
      this.#watch();
    });
  }
}
