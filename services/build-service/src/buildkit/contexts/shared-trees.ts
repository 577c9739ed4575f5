/**
 * Contexts that several builds of one client read at the same time: bake's targets mostly have the same
 * one, and it is received once.
 */
import type { ContextTree } from "../../ports/build-inputs.ts";

interface Shared {
  readonly tree: Promise<ContextTree>;
  readonly abort: AbortController;
  users: number;
}

/** All that are open. */
export class SharedTrees {
  readonly #open = new Map<string, Shared>();

  /**
   * Opens a tree, or joins those who have it open.
   * @param key same key, same tree
   * @param receive brings it here; its signal aborts when nobody wants the tree any more
   */
  async open(
    key: string,
    signal: AbortSignal,
    receive: (signal: AbortSignal) => Promise<ContextTree>,
  ): Promise<ContextTree> {
    const shared = this.#open.get(key) ?? this.#begin(key, receive);
    shared.users++;
    let left = false;
    const leave = async (): Promise<void> => {
      if (left) return;
      left = true;
      shared.users--;
      if (shared.users === 0) await this.#end(key, shared);
    };
    const gone = Promise.withResolvers<never>();
    const onAbort = (): void => {
      gone.reject(signal.reason);
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
    try {
      const tree = await Promise.race([shared.tree, gone.promise]);
      const { root, cacheName, known } = tree;
      return { root, cacheName, ...(known && { known }), [Symbol.asyncDispose]: leave };
    } catch (error) {
      await leave();
      throw error;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  #begin(key: string, receive: (signal: AbortSignal) => Promise<ContextTree>): Shared {
    const abort = new AbortController();
    const shared = { tree: receive(abort.signal), abort, users: 0 };
    this.#open.set(key, shared);
    return shared;
  }

  async #end(key: string, shared: Shared): Promise<void> {
    if (this.#open.get(key) === shared) this.#open.delete(key);
    shared.abort.abort();
    const tree = await shared.tree.catch(() => undefined);
    await tree?.[Symbol.asyncDispose]();
  }
}
