/** Which records of the cache builds rely on now: pruning leaves them alone. */
export class InUse {
  /** All records that there are. */
  readonly #known = new Set<string>();
  readonly #users = new Map<string, number>();

  add(id: string): void {
    this.#known.add(id);
  }

  remove(id: string): void {
    this.#known.delete(id);
  }

  /** Counts one more user; false when there is no such record any more. */
  enter(id: string): boolean {
    if (!this.#known.has(id)) return false;
    this.#users.set(id, (this.#users.get(id) ?? 0) + 1);
    return true;
  }

  leave(id: string): void {
    const users = (this.#users.get(id) ?? 0) - 1;
    if (users > 0) this.#users.set(id, users);
    else this.#users.delete(id);
  }

  isUsed(id: string): boolean {
    return this.#users.has(id);
  }
}
