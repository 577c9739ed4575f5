/** All containers in memory, by ID and by name. Lists and lookups are answered from here. */
import { alreadyExists, invalidArgument, notFound } from "@gantry/errors";
import type { ContainerRecord } from "../domain/container-record.ts";
import { namingLinks } from "../domain/link-names.ts";
import { type Entry, openEntry } from "./entry.ts";

/** The containers of this engine. */
export interface Registry {
  /** By ID, name (a leading slash may be there; `parent/alias` with a link), or unique ID prefix. Throws Docker's errors. */
  find(reference: string): Entry;
  byId(id: string): Entry | undefined;
  /** Newest first, without the steps of builds. */
  list(): Entry[];
  /** Newest first, with the steps of builds. */
  all(): Entry[];
  /** Containers that have legacy links to others. */
  linking(): Entry[];
  /**
   * Takes a name for an ID, so that nobody else gets it before the record is there.
   * Throws already_exists in Docker's words.
   */
  takeName(name: string, id: string): void;
  /** Whether a name can be taken. */
  isFree(name: string): boolean;
  /** Gives a name back if it belongs to this ID. */
  releaseName(name: string, id: string): void;
  /** Adds a container whose name was taken before. */
  add(record: ContainerRecord): Entry;
  /** Forgets a container and its name. */
  remove(id: string): void;
}

export function openRegistry(): Registry {
  return new MapRegistry();
}

class MapRegistry implements Registry {
  readonly #entries = new Map<string, Entry>();
  readonly #names = new Map<string, string>();
  readonly #linking = new Set<Entry>();
  /** Undefined when a container came or went since. */
  #newestFirst: Entry[] | undefined;

  find(reference: string): Entry {
    const entry = this.#exact(reference) ?? this.#byPrefix(reference);
    if (entry === undefined) throw notFound("container", reference);
    return entry;
  }

  #exact(reference: string): Entry | undefined {
    const byId = this.#entries.get(reference);
    if (byId !== undefined) return byId;
    const name = reference.replace(/^\//, "");
    return this.#named(name) ?? this.#linked(name);
  }

  #named(name: string): Entry | undefined {
    const id = this.#names.get(name);
    return id === undefined ? undefined : this.#entries.get(id);
  }

  /** By a legacy link's name, `parent/alias`. */
  #linked(name: string): Entry | undefined {
    const [parent = "", alias, ...rest] = name.split("/");
    const entry = alias === undefined || rest.length > 0 ? undefined : this.#named(parent);
    if (entry === undefined) return undefined;
    const links = namingLinks(entry.record);
    const target = links.find((link) => link.alias === alias)?.container ?? "";
    return this.#entries.get(target) ?? this.#named(target);
  }

  #byPrefix(prefix: string): Entry | undefined {
    if (!/^[0-9a-f]{1,63}$/.test(prefix)) return undefined;
    let found: Entry | undefined;
    for (const [id, entry] of this.#entries) {
      if (!id.startsWith(prefix)) continue;
      if (found !== undefined) {
        throw invalidArgument(`multiple IDs found with provided prefix: ${prefix}`);
      }
      found = entry;
    }
    return found;
  }

  byId(id: string): Entry | undefined {
    return this.#entries.get(id);
  }

  list(): Entry[] {
    return this.all().filter(({ record }) => record.buildStep === undefined);
  }

  all(): Entry[] {
    this.#newestFirst ??= [...this.#entries.values()].sort((one, other) =>
      Number(other.record.createdNano - one.record.createdNano),
    );
    return [...this.#newestFirst];
  }

  linking(): Entry[] {
    return [...this.#linking];
  }

  takeName(name: string, id: string): void {
    const owner = this.#names.get(name);
    if (owner !== undefined && owner !== id) {
      throw alreadyExists(
        `Conflict. The container name "/${name}" is already in use by container "${owner}". ` +
          "You have to remove (or rename) that container to be able to reuse that name.",
      );
    }
    this.#names.set(name, id);
  }

  isFree(name: string): boolean {
    return !this.#names.has(name);
  }

  releaseName(name: string, id: string): void {
    if (this.#names.get(name) === id) this.#names.delete(name);
  }

  add(record: ContainerRecord): Entry {
    const entry = openEntry(record);
    this.#names.set(record.name, record.id);
    this.#entries.set(record.id, entry);
    this.#newestFirst = undefined;
    if ((record.hostConfig.links?.values.length ?? 0) > 0) this.#linking.add(entry);
    return entry;
  }

  remove(id: string): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    this.#entries.delete(id);
    this.#newestFirst = undefined;
    this.#linking.delete(entry);
    this.releaseName(entry.record.name, id);
  }
}
