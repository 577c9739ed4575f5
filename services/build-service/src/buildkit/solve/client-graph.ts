/** Graphs that clients make themselves: files of git and of URLs, and copies of them. */
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, renameSync } from "node:fs";
import path from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { invalidArgument, notImplemented } from "@gantry/errors";
import { removeTree } from "@gantry/native";
import {
  type Definition,
  type FileActionCopy,
  type Op,
  OpSchema,
  type SourceOp,
} from "@gantry/proto/buildkit";
import { missingSource } from "../../app/step-mounts.ts";
import { BuildFailure, DownloadFailure, MissingSource } from "../../domain/build-failure.ts";
import type { AgentFinder } from "../../ports/downloads.ts";
import type { ProgressSink, RunningVertex } from "../../ports/progress.ts";
import { asVertex } from "../progress/own-vertex.ts";
import { codes, WireFailure } from "../wire/failure.ts";
import type { RemoteTools } from "./remote-context.ts";

/** Whose graph it is, and what it may ask its client for. */
export interface GraphRequest {
  readonly progress: ProgressSink;
  readonly secret: (id: string) => Promise<Uint8Array | undefined>;
  readonly agent: AgentFinder;
  /** Ends the work. */
  readonly signal: AbortSignal;
}

/** What a graph gives: files, made when they are wanted. */
export interface GraphFiles extends AsyncDisposable {
  /** Absolute path of their folder. The same for each call. */
  root(): Promise<string>;
}

interface Step {
  readonly op: Op;
  readonly name: string;
}

/** Reads a graph. Throws for what none of ours has. */
export function clientGraph(
  tools: RemoteTools,
  definition: Definition,
  request: GraphRequest,
): GraphFiles {
  const steps = stepsOf(definition);
  for (const { op } of steps.values()) check(op);
  const last = definition.def.at(-1);
  const result = last && fromBinary(OpSchema, last).inputs[0]?.digest;
  if (result === undefined) throw invalidArgument("invalid empty definition");
  const work = new GraphWork(tools, steps, request);
  return {
    root: () => work.root(result),
    [Symbol.asyncDispose]: () => work[Symbol.asyncDispose](),
  };
}

function stepsOf(definition: Definition): Map<string, Step> {
  const steps = definition.def.map((bytes) => {
    const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
    const op = fromBinary(OpSchema, bytes);
    const named = definition.metadata[digest]?.description["llb.customname"];
    return [digest, { op, name: named ?? nameOf(op) }] as const;
  });
  return new Map(steps);
}

function nameOf({ op }: Op): string {
  if (op.case === "source") return op.value.identifier;
  const [action] = op.case === "file" ? op.value.actions : [];
  if (action?.action.case !== "copy") return "";
  const { src, dest } = action.action.value;
  return `copy ${src} ${dest}`;
}

const sourceForm = /^(git|https?):\/\//;

/** Throws not_implemented. */
function check({ op, inputs }: Op): void {
  // The end of a graph only names its result.
  if (op.case === undefined && inputs.length === 1) return;
  if (op.case === "source" && sourceForm.test(op.value.identifier)) return;
  const actions = op.case === "file" ? op.value.actions : [];
  const isCopy = actions.every(
    ({ action, input, secondaryInput }, index) =>
      action.case === "copy" &&
      !action.value.attemptUnpackDockerCompatibility &&
      Number(input) === (index === 0 ? -1 : inputs.length + index - 1) &&
      secondaryInput >= 0n &&
      Number(secondaryInput) < inputs.length,
  );
  if (actions.length > 0 && isCopy) return;
  throw notImplemented("solving a build graph of anything but copies of remote files");
}

class GraphWork implements AsyncDisposable {
  readonly #tools: RemoteTools;
  readonly #steps: ReadonlyMap<string, Step>;
  readonly #request: GraphRequest;
  readonly #roots = new Map<string, Promise<string>>();
  readonly #folders: string[] = [];

  constructor(tools: RemoteTools, steps: ReadonlyMap<string, Step>, request: GraphRequest) {
    this.#tools = tools;
    this.#steps = steps;
    this.#request = request;
  }

  root(digest: string): Promise<string> {
    const known = this.#roots.get(digest);
    if (known !== undefined) return known;
    const made = this.#make(digest);
    this.#roots.set(digest, made);
    return made;
  }

  async #make(digest: string): Promise<string> {
    const step = this.#steps.get(digest);
    if (step === undefined) throw invalidArgument(`invalid missing input digest ${digest}`);
    const { op, name } = step;
    const inputs = await Promise.all(op.inputs.map((input) => this.root(input.digest)));
    const { progress } = this.#request;
    const digests = op.inputs.map((input) => input.digest);
    const vertex = { key: digest, name, inputs: digests };
    try {
      return await asVertex(progress, vertex, (running) => this.#run(op, inputs, running));
    } catch (error) {
      throw told(error);
    }
  }

  async #run({ op }: Op, inputs: readonly string[], vertex: RunningVertex): Promise<string> {
    if (op.case === "source") return await this.#fetch(op.value, vertex);
    const toRoot = this.#folder();
    for (const { action, secondaryInput } of op.case === "file" ? op.value.actions : []) {
      const from = inputs[Number(secondaryInput)];
      if (action.case === "copy" && from !== undefined)
        await this.#copy(from, action.value, toRoot).catch(inWords);
    }
    return toRoot;
  }

  async #fetch({ identifier, attrs }: SourceOp, vertex: RunningVertex): Promise<string> {
    const { downloads } = this.#tools;
    const { secret, agent, signal } = this.#request;
    const into = this.#folder();
    if (!identifier.startsWith("git://")) {
      const checksum = attrs["http.checksum"] ?? "";
      const { root } = await downloads.file({ url: identifier, checksum, into }, vertex, signal);
      const named = attrs["http.filename"] || new URL(identifier).pathname;
      renameSync(path.join(root, "file"), path.join(root, path.basename(named) || "download"));
      return root;
    }
    const fragment = /#.*$/s.exec(identifier)?.[0] ?? "";
    const query = attrs["git.skipsubmodules"] === "true" ? "?submodules=false" : "";
    const url = `${attrs["git.fullurl"] ?? identifier.replace(/#.*$/s, "")}${query}${fragment}`;
    const checksum = attrs["git.checksum"] ?? "";
    const keepGitDir = attrs["git.keepgitdir"] === "true";
    const request = { url, checksum, keepGitDir, into, secret, agent };
    return (await downloads.git(request, vertex, signal)).root;
  }

  async #copy(from: string, action: FileActionCopy, toRoot: string): Promise<void> {
    const { src, dest, dirCopyContents } = action;
    const place = dirCopyContents ? dest : path.posix.join(dest, path.posix.basename(src), "/");
    await this.#tools.files.copy({
      from: { root: from, path: src, name: undefined },
      ...{ toRoot, destination: place, owner: undefined, chmod: undefined, parents: false },
      ...{ exclude: [], link: false, signal: this.#request.signal },
    });
  }

  #folder(): string {
    const { scratchDir } = this.#tools;
    mkdirSync(scratchDir, { recursive: true, mode: 0o700 });
    const folder = mkdtempSync(path.join(scratchDir, "graph-"));
    this.#folders.push(folder);
    return folder;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // What is still at work has a signal that ends it.
    await Promise.allSettled(this.#roots.values());
    for (const folder of this.#folders) await removeTree(folder);
  }
}

function inWords(error: unknown): never {
  throw error instanceof MissingSource ? missingSource(error) : error;
}

/** What BuildKit was about when it failed. */
function told(error: unknown): unknown {
  if (!(error instanceof BuildFailure)) return error;
  const about = error instanceof DownloadFailure ? "load" : "compute";
  const isKey = error instanceof DownloadFailure || error instanceof MissingSource;
  const before = isKey ? `failed to ${about} cache key: ` : "";
  return new WireFailure(codes.unknown, `${before}${error.message}`, [], error);
}
