/** The graph that a build is: what is done, to which inputs. Pure data; executing is somebody else's matter. */
import { createHash } from "node:crypto";
import type { Platform } from "@gantry/oci";
import type { LineRange } from "../dockerfile/syntax-error.ts";

/** Where a mount of RUN gets its files. `input` counts the vertex's inputs. */
export type RunMount =
  | {
      readonly type: "bind";
      readonly input: number;
      readonly source: string;
      readonly target: string;
      readonly writable: boolean;
    }
  | {
      readonly type: "cache";
      readonly id: string;
      readonly target: string;
      readonly sharing: "shared" | "private" | "locked";
      readonly readOnly: boolean;
      readonly uid: number;
      readonly gid: number;
      readonly mode: number;
      /** Seed: input and path in it; undefined: empty at first. */
      readonly input: number | undefined;
      readonly source: string;
    }
  | { readonly type: "tmpfs"; readonly target: string; readonly sizeBytes: number }
  | {
      readonly type: "secret";
      readonly id: string;
      /** Empty: no file. */
      readonly target: string;
      /** Variable that holds it; empty: none. */
      readonly env: string;
      readonly required: boolean;
      readonly uid: number;
      readonly gid: number;
      readonly mode: number;
    }
  | {
      readonly type: "ssh";
      readonly id: string;
      readonly target: string;
      readonly required: boolean;
      readonly uid: number;
      readonly gid: number;
      readonly mode: number;
    };

/** RUN: a program in a container over input 0. */
export interface RunOp {
  readonly kind: "run";
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly user: string;
  readonly network: string;
  readonly hostname: string;
  /** Without confinement; granted. */
  readonly insecure: boolean;
  readonly mounts: readonly RunMount[];
  /** Variables that count for no cache key: proxies. */
  readonly proxyEnv: readonly string[];
  /** Paths at which the container has a volume of its own, which goes with it. */
  readonly volumes: readonly string[];
}

/** Who will own what is copied: `name|uid[:name|gid]`, looked up in the target; undefined: see `keepOwner`. */
export interface CopySource {
  /** Counts the vertex's inputs. */
  readonly input: number;
  /** Path or pattern in it. */
  readonly path: string;
  /** Archives are unpacked (ADD). */
  readonly unpack: boolean;
  /** Name of a downloaded file or heredoc: wins over that in the input. */
  readonly name?: string;
}

/** COPY and ADD: files of other inputs onto input 0. */
export interface CopyOp {
  readonly kind: "copy";
  readonly sources: readonly CopySource[];
  /** Absolute; a trailing slash means a directory. */
  readonly destination: string;
  readonly chown: string | undefined;
  readonly chmod: string | undefined;
  /** Without chown: owners are kept (`--from`), else 0:0. */
  readonly keepOwner: boolean;
  readonly parents: boolean;
  readonly exclude: readonly string[];
  /** The destination's symbolic links are not followed. */
  readonly link: boolean;
  /** As of the classic builder, see CopyOptions. */
  readonly classic?: true;
}

/** WORKDIR: a directory in input 0. */
export interface MakeDirectoryOp {
  readonly kind: "mkdir";
  readonly path: string;
  readonly owner: string;
}

/** A base image, resolved. */
export interface ImageOp {
  readonly kind: "image";
  readonly reference: string;
  readonly platform: Platform;
  /** Topmost layer; empty: none. */
  readonly chainId: string;
}

/** Files that are not an image: which, only the binding knows. */
export interface FilesOp {
  readonly kind: "files";
  /** `context`, `context:<name>`, `http:<url>`, `git:<url>`. */
  readonly source: string;
  /** What must come out of a download; empty: anything. */
  readonly checksum: string;
  /** A git source keeps `.git`. */
  readonly keepGitDir: boolean;
}

/** Files written in the Dockerfile. */
export interface InlineOp {
  readonly kind: "inline";
  readonly files: readonly InlineFile[];
}

/** One of them. */
export interface InlineFile {
  readonly name: string;
  readonly content: string;
  /** It can be executed. */
  readonly isProgram?: boolean;
}

/** A layer that is there already: the result of another build. */
export interface LayerOp {
  readonly kind: "layer";
  readonly snapshot: string;
}

/** What a vertex does. */
export type Op =
  | { readonly kind: "scratch" }
  | ImageOp
  | FilesOp
  | InlineOp
  | LayerOp
  | RunOp
  | CopyOp
  | MakeDirectoryOp;

/** A vertex. */
export interface Vertex {
  /** `sha256:<hex>` of what it does to which inputs. */
  readonly digest: string;
  readonly op: Op;
  readonly inputs: readonly Vertex[];
  readonly name: string;
  /** Instruction that it is for. */
  readonly lines: LineRange | undefined;
  /** Name with digest of an image, for the line that tells of its resolution. Empty: none is told. */
  readonly resolved: string;
  /** The cache is not asked. */
  readonly ignoreCache: boolean;
}

/** Makes a vertex. */
export function vertexOf(
  op: Op,
  inputs: readonly Vertex[],
  more: {
    readonly name: string;
    readonly lines?: LineRange | undefined;
    readonly resolved?: string;
    readonly ignoreCache?: boolean;
  },
): Vertex {
  const identity = JSON.stringify([
    op,
    inputs.map(({ digest }) => digest),
    more.ignoreCache ?? false,
  ]);
  return {
    digest: `sha256:${createHash("sha256").update(identity).digest("hex")}`,
    op,
    inputs,
    name: more.name,
    lines: more.lines,
    resolved: more.resolved ?? "",
    ignoreCache: more.ignoreCache ?? false,
  };
}

/** Whether a vertex has a tree, and no files of elsewhere. */
export function isTree({ op }: Vertex): boolean {
  return op.kind !== "files" && op.kind !== "inline";
}

/** An input by its number. Throws RangeError: whoever made the vertex counted wrong. */
export function inputOf(vertex: Vertex, index: number): Vertex {
  const input = vertex.inputs[index];
  if (input === undefined)
    throw new RangeError(`vertex ${vertex.digest} has no input ${String(index)}`);
  return input;
}

/** All vertices below some, each once, inputs first. Of those that are the same the last one's name counts. */
export function reachable(roots: readonly Vertex[]): Vertex[] {
  const seen = new Set<Vertex>();
  const found = new Map<string, Vertex>();
  const visit = (vertex: Vertex): void => {
    if (seen.has(vertex)) return;
    seen.add(vertex);
    for (const input of vertex.inputs) visit(input);
    found.set(vertex.digest, { ...(found.get(vertex.digest) ?? vertex), name: vertex.name });
  };
  for (const root of roots) visit(root);
  return [...found.values()];
}
