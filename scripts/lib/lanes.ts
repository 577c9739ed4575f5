/** Does several things side by side, but never two of one room. */

/** How to share out. */
export interface LanesOptions<Item> {
  /** How many at a time, 1 or more. */
  readonly lanes: number;
  /** What an item has for itself while it is done; undefined when it meets nobody. */
  roomOf(item: Item): string | undefined;
}

/**
 * Does the work for each item, in their order as far as rooms are free. After an error nothing more is begun, and
 * the first one is thrown when what had begun is done.
 */
export async function inLanes<Item>(
  items: readonly Item[],
  { lanes, roomOf }: LanesOptions<Item>,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const waiting = items.map((item) => ({ item, room: roomOf(item) }));
  const taken = new Set<string>();
  const running = new Set<Promise<void>>();
  const errors: unknown[] = [];
  while (running.size > 0 || (waiting.length > 0 && errors.length === 0)) {
    const canBegin = errors.length === 0 && running.size < lanes;
    const index = canBegin
      ? waiting.findIndex(({ room }) => room === undefined || !taken.has(room))
      : -1;
    const [next] = index === -1 ? [] : waiting.splice(index, 1);
    if (next === undefined) {
      await Promise.race(running);
      continue;
    }
    const { item, room } = next;
    if (room !== undefined) taken.add(room);
    const lane = work(item)
      .catch((error: unknown) => {
        errors.push(error);
      })
      .finally(() => {
        running.delete(lane);
        if (room !== undefined) taken.delete(room);
      });
    running.add(lane);
  }
  if (errors.length > 0) throw errors[0];
}
