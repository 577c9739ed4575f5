/** What keeps the service running: builds and sessions. Without any for a while it ends. */

/** Counts them. */
export class Activity {
  readonly #idleMs: number;
  readonly #onIdle: () => void;
  #busy = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param onIdle called once there was nothing for `idleMs` */
  constructor(idleMs: number, onIdle: () => void) {
    this.#idleMs = idleMs;
    this.#onIdle = onIdle;
    this.#wait();
  }

  /** Begins something; disposing ends it. */
  begin(): Disposable {
    this.#busy += 1;
    clearTimeout(this.#timer);
    let ended = false;
    return {
      [Symbol.dispose]: () => {
        if (ended) return;
        ended = true;
        this.#busy -= 1;
        if (this.#busy === 0) this.#wait();
      },
    };
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #wait(): void {
    this.#timer = setTimeout(this.#onIdle, this.#idleMs).unref();
  }
}
