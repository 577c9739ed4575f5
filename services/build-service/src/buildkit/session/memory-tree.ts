/** A few small files of a client, in memory: Dockerfiles and ignore files. */
import path from "node:path";
import { resourceExhausted } from "@gantry/errors";
import type { TreeEntry } from "./entry.ts";
import type { TreeTarget } from "./receive-tree.ts";

/** Together they may have so much. */
const maxBytes = 16 * 1024 * 1024;

/** More links than this on the way are a circle. */
const maxLinks = 40;

/** Collects files. */
export class MemoryTree implements TreeTarget {
  readonly #files = new Map<string, Uint8Array[]>();
  readonly #links = new Map<string, string>();
  #sizeBytes = 0;

  entry({ path: name, kind, linkName }: TreeEntry): boolean {
    if (linkName !== "") this.#links.set(name, kind === "file" ? `/${linkName}` : linkName);
    else if (kind === "file") this.#files.set(name, []);
    return kind === "file";
  }

  content(entry: TreeEntry, bytes: Uint8Array): void {
    this.#sizeBytes += bytes.length;
    if (this.#sizeBytes > maxBytes) throw resourceExhausted(`${entry.path} is too big`);
    this.#files.get(entry.path)?.push(bytes);
  }

  contentEnd(): void {
    // Complete as it is.
  }

  complete(): Promise<void> {
    return Promise.resolve();
  }

  /** Content of a file, symbolic links resolved inside the tree; undefined: there is none. */
  read(name: string): Uint8Array | undefined {
    let current = path.posix.normalize(`/${name}`);
    for (let links = 0; links < maxLinks; links++) {
      const chunks = this.#files.get(current.slice(1));
      if (chunks !== undefined) return Buffer.concat(chunks);
      const target = this.#links.get(current.slice(1));
      if (target === undefined) return undefined;
      current = path.posix.resolve(path.posix.dirname(current), target);
    }
    return undefined;
  }
}
