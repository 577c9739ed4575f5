/** Files from elsewhere: URLs, git repositories, archives as contexts. */
import type { ContextTree, LentAgent } from "./build-inputs.ts";
import type { RunningVertex } from "./progress.ts";

/** Finds an SSH agent of the client. */
export type AgentFinder = (id: string) => Promise<LentAgent>;

/** Fetches. The tree is inside `into`, a fresh folder of ours. Throws BuildFailure. */
export interface Downloads {
  /** One file, by ADD: the only one in the tree. */
  file(
    request: { readonly url: string; readonly checksum: string; readonly into: string },
    vertex: RunningVertex,
    signal: AbortSignal,
  ): Promise<ContextTree>;
  /** A commit of a repository, or a folder in it. */
  git(
    request: {
      readonly url: string;
      /** Commit that must come out; empty: any. */
      readonly checksum: string;
      readonly keepGitDir: boolean;
      readonly into: string;
      readonly secret: (id: string) => Promise<Uint8Array | undefined>;
      /** Finds the client's agent for ssh; undefined: this machine's own keys are used. */
      readonly agent: AgentFinder | undefined;
    },
    vertex: RunningVertex,
    signal: AbortSignal,
  ): Promise<ContextTree>;
  /** A context: a git repository, an archive, or (plain text) one Dockerfile. */
  context(
    url: string,
    options: { readonly into: string; readonly agent: AgentFinder | undefined },
    vertex: RunningVertex,
    signal: AbortSignal,
  ): Promise<ContextTree>;
}

/** Archives. */
export interface Archives {
  /**
   * Unpacks a tar of any compression into a folder of a tree.
   * @param owner of everything; undefined: as the archive says
   */
  unpack(
    input: AsyncIterable<Uint8Array>,
    target: { readonly root: string; readonly path: string },
    owner: { readonly uid: number; readonly gid: number } | undefined,
    signal: AbortSignal,
  ): Promise<void>;
  /** Packs a tree as a tar, in a folder of that name; empty: at the top. */
  pack(root: string, folder: string, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** Whether a file looks like a tar, or like something compressed. */
  isArchive(path: string): boolean;
  /** Whether a file is a tar that has an entry, maybe compressed. */
  hasEntries(path: string, signal: AbortSignal): Promise<boolean>;
}
