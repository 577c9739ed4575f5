/** Works on one name after the other, in the order they were asked for; works on other names don't wait. */
export class Turns {
  readonly #last = new Map<string, Promise<void>>();

  /** Resolves or rejects as `work` does. */
  async take<T>(name: string, work: () => Promise<T>): Promise<T> {
    const turn = (this.#last.get(name) ?? Promise.resolve()).then(work);
    const settled = turn.then(
      () => undefined,
      () => undefined,
    );
    this.#last.set(name, settled);
    try {
      return await turn;
    } finally {
      if (this.#last.get(name) === settled) this.#last.delete(name);
    }
  }
}
