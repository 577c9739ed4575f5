/** What a build reads from its client: contexts, secrets, agents, credentials. Implemented by front ends. */
import type { BuildResult } from "./build.ts";
import type { RunningVertex } from "./progress.ts";

/** What of a context a build needs. */
export interface ContextRequest {
  /**
   * Paths and Go patterns relative to the context, without leading `/`; empty: everything. A path that
   * doesn't exist is no error here.
   */
  readonly include: readonly string[];
  /** Lines of `.dockerignore` (patterns, `!` for exceptions), to be left out. */
  readonly exclude: readonly string[];
}

/** What is known of an entry without looking at it. */
export interface KnownEntry {
  readonly kind: "file" | "directory" | "symlink" | "other";
  /** Permission bits. */
  readonly permissions: number;
  /** SHA-256 of a file's content in hexadecimal; undefined: not known. */
  readonly sum: string | undefined;
  /** Where a symbolic link leads. */
  readonly linkTarget: string;
}

/** All entries of a tree, by their clean relative paths. */
export interface KnownFiles {
  entry(path: string): KnownEntry | undefined;
  /** Names in a folder (empty: the root), sorted. */
  children(path: string): readonly string[];
}

/** A context's files on this machine, unchanging until disposed. */
export interface ContextTree extends AsyncDisposable {
  /** Absolute path of a folder of ours. Symbolic links in it are not followed out of it. */
  readonly root: string;
  /**
   * What stands for the tree between builds (path of the received copy that is kept, for example):
   * checksums of unchanged files are remembered under it. Undefined: nothing is remembered.
   */
  readonly cacheName: string | undefined;
  /** What is known of its entries, all of them. */
  readonly known?: KnownFiles;
}

/** A source of files: a directory received by a session, or an archive received by HTTP. */
export interface BuildContext {
  /**
   * Brings the files here. Called at most once in a build, for all of its platforms.
   * @param vertex the vertex `[internal] load build context`, for `transferring context:`
   */
  open(request: ContextRequest, vertex: RunningVertex, signal: AbortSignal): Promise<ContextTree>;
}

/** Blobs of an image that is not the engine's. */
export interface LayoutImage {
  /** Of a manifest or an index. */
  readonly digest: string;
  /** Throws not_found. Whoever reads checks the digest. */
  readonly read: (digest: string, signal: AbortSignal) => AsyncIterable<Uint8Array>;
}

/** Where files may come from that are not a stage. */
export type ContextSource =
  /** Files of the client. A named context brings the lines of its own `.dockerignore`; empty: none. */
  | {
      readonly kind: "local";
      readonly context: BuildContext;
      readonly ignore?: () => Promise<string>;
    }
  /** A git or http(s) URL, fetched here. */
  | { readonly kind: "remote"; readonly url: string }
  /** An image, by reference; `FROM name` and `--from=name` then mean it. */
  | { readonly kind: "image"; readonly reference: string }
  /** An image in a layout that the client has. */
  | ({ readonly kind: "layout" } & LayoutImage)
  /** The result of a build that ran before, not disposed while this one runs (bake's linked targets). */
  | { readonly kind: "result"; readonly result: BuildResult }
  /** Of a scheme that none of ours is, such as a target that was not built. Whoever wants it fails. */
  | { readonly kind: "unknown"; readonly scheme: string };

/** A credential for a registry. Never logged. */
export interface Credential {
  readonly username: string;
  readonly password: string;
  /** OAuth refresh token; empty: none. */
  readonly identityToken: string;
}

/** A socket that leads to a client's SSH agent, or why there is none. */
export type LentAgent = { readonly socket: string } | { readonly missing: string };

/** Why, when the client lends no agents at all. */
export const noAgents = (id: string): LentAgent => ({
  missing: `no SSH key ${JSON.stringify(id === "" ? "default" : id)} forwarded from the client`,
});

/** Everything a build reads from its client. */
export interface BuildInputs {
  /** The Dockerfile. */
  readonly dockerfile: {
    readonly name: string;
    readonly bytes: Uint8Array;
    /** Digest of the vertex that it came by, for warnings to stand at; undefined: there is none. */
    readonly vertex?: string;
  };
  /** Lines of the `.dockerignore` that counts; empty: none. */
  ignore(): Promise<string>;
  /** The main context; undefined: COPY from it finds nothing. */
  readonly context: ContextSource | undefined;
  /** Named contexts by name in lower case. */
  readonly namedContexts: ReadonlyMap<string, ContextSource>;
  /** Value of a secret, or undefined when the client has none of that ID. */
  secret(id: string, signal: AbortSignal): Promise<Uint8Array | undefined>;
  /** A Unix socket, on this machine, that forwards to the client's agent until the build ends. */
  sshAgent(id: string, signal: AbortSignal): Promise<LentAgent>;
  /** Credential for a registry host (`registry-1.docker.io` for Docker Hub), or undefined. */
  registryAuth(host: string, signal: AbortSignal): Promise<Credential | undefined>;
}
