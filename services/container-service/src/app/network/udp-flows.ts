/**
 * What is under way to make the kernel forget flows of UDP, which would else keep the way that they began with.
 * The flows of a container that ends must not be forgotten when the next one has begun with the same port.
 */
export class UdpFlows {
  readonly #forgetting = new Set<Promise<void>>();

  /** Resolves or rejects as `work` does. */
  async forget(work: Promise<void>): Promise<void> {
    this.#forgetting.add(work);
    try {
      await work;
    } finally {
      this.#forgetting.delete(work);
    }
  }

  /** Resolves when all that began before has ended, however it did. */
  async forgotten(): Promise<void> {
    if (this.#forgetting.size > 0) await Promise.allSettled(this.#forgetting);
  }
}
