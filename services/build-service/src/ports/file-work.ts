/** Work on the files of trees that belong to us alone. Paths never lead out of their tree. */

import type { KnownFiles } from "./build-inputs.ts";

/** Who owns a file. */
export interface FileOwner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * What becomes of an owner's name that a tree doesn't have: to BuildKit it is root, but where there is no tree at all;
 * the classic builder refuses it.
 */
export type UnknownOwner = "root" | "no tree" | "refuse";

/** One source of a COPY. */
export interface CopyRequest {
  readonly from: {
    readonly root: string;
    readonly path: string;
    readonly name: string | undefined;
  };
  readonly toRoot: string;
  /** Absolute, with a trailing slash for a directory. */
  readonly destination: string;
  /** Undefined: owners are kept. */
  readonly owner: FileOwner | undefined;
  readonly chmod: string | undefined;
  readonly parents: boolean;
  readonly exclude: readonly string[];
  readonly link: boolean;
  /**
   * As of the classic builder: a destination that is made is like any parent, files and folders replace each other,
   * and a new owner takes set-user-ID and set-group-ID bits from programs. Default false.
   */
  readonly classic?: boolean;
  readonly signal: AbortSignal;
}

/** Files. Everything may throw BuildFailure. */
export interface FileWork {
  /** Throws MissingSource. */
  copy(request: CopyRequest): Promise<void>;
  /** Plain files that a source means, as real paths: for archives. Throws MissingSource. */
  plainFiles(root: string, path: string): readonly string[];
  /** How many files and folders a source means. Throws MissingSource. */
  count(root: string, path: string): number;
  /** Checksum of what a source takes, with names and owners but without times. Throws MissingSource. */
  sum(
    root: string,
    path: string,
    options: {
      readonly exclude: readonly string[];
      readonly parents: boolean;
      readonly owners: boolean;
      /** What needs no look. */
      readonly known: KnownFiles | undefined;
      readonly signal: AbortSignal;
    },
  ): Promise<string>;
  /**
   * What Docker's classic builder calls the files that a source means: `file:<hex>` or `dir:<hex>` each.
   * @param options.name of a file that was downloaded: then it is `<hex>` alone
   * @param options.ofTree they are a stage's or an image's, not the context's
   */
  tarSums(
    root: string,
    path: string,
    options: {
      readonly name: string | undefined;
      readonly ofTree: boolean;
      readonly signal: AbortSignal;
    },
  ): Promise<string[]>;
  /** Makes a directory with its parents: 0755, of `owner`. @returns real path */
  makeDirectories(root: string, path: string, owner: FileOwner): string;
  /** `user[:group]` by the tree's passwd and group. */
  findOwner(root: string, text: string, unknown: UnknownOwner): FileOwner;
  /** Real path of something in a tree, links followed inside it. Throws MissingSource. */
  find(root: string, path: string): string;
}
