import { takeSteps } from "../src/adapters/sqlite/folder-work.ts";
import type {
  CommitOptions,
  DocumentChange,
  MetadataStore,
  NewEvent,
} from "../src/ports/metadata.ts";

/** Documents in memory: what a database would give after a restart. */
export class MemoryStore implements MetadataStore {
  readonly #documents = new Map<string, Map<string, string>>();
  readonly events: NewEvent[] = [];
  /** The next commit fails with it. */
  refuseNext: Error | undefined;
  #isLast: ((changes: readonly DocumentChange[]) => boolean) | undefined;
  #tellLast = (): void => undefined;
  #diesWithFolders = false;

  /**
   * Whoever commits such changes dies of it: neither these nor later ones are kept or answered. Resolves when it has
   * come to that.
   * @param how.withFolders the folders that come before the records have changed by then
   */
  async diesAt(
    isLast: (changes: readonly DocumentChange[]) => boolean,
    { withFolders }: { readonly withFolders: boolean } = { withFolders: false },
  ): Promise<void> {
    this.#isLast = isLast;
    this.#diesWithFolders = withFolders;
    await new Promise<void>((resolve) => {
      this.#tellLast = resolve;
    });
  }

  /** For whoever comes after. */
  revive(): void {
    this.#isLast = undefined;
  }

  load(collection: string): ReadonlyMap<string, unknown> {
    const entries = [...(this.#documents.get(collection) ?? [])];
    return new Map(entries.map(([key, text]) => [key, JSON.parse(text) as unknown]));
  }

  commit(
    changes: readonly DocumentChange[],
    events: readonly NewEvent[],
    { folders = {} }: CommitOptions = {},
  ): Promise<void> {
    if (this.#isLast?.(changes) === true) {
      this.#isLast = () => true;
      if (this.#diesWithFolders) takeSteps(folders.before ?? []);
      this.#diesWithFolders = false;
      this.#tellLast();
      return new Promise(() => undefined);
    }
    const takeBack = takeSteps(folders.before ?? []);
    const refused = this.refuseNext;
    if (refused !== undefined) {
      this.refuseNext = undefined;
      takeBack();
      return Promise.reject(refused);
    }
    for (const { collection, key, value } of changes) {
      const documents = this.#documents.get(collection) ?? new Map<string, string>();
      this.#documents.set(collection, documents);
      if (value === undefined) documents.delete(key);
      else documents.set(key, JSON.stringify(value));
    }
    this.events.push(...events);
    takeSteps(folders.after ?? []);
    return Promise.resolve();
  }
}
