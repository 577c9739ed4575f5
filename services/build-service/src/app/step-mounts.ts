/** Mounts of a RUN: what they show is brought to a path of the host, for as long as the step runs. */
import { randomUUID } from "node:crypto";
import { rmSync } from "node:fs";
import { chmod, chown, mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { BuildFailure, MissingSource } from "../domain/build-failure.ts";
import type { RunMount, Vertex } from "../domain/solver/vertex.ts";
import type { StepBind } from "../ports/containers.ts";
import type { ReadableTree } from "../ports/layers.ts";
import type { SolvedInputs } from "../ports/vertex-work.ts";
import type { WorkContext } from "./vertex-work.ts";

/** What the container gets. */
export interface BoundMounts {
  readonly binds: StepBind[];
  readonly tmpfs: { readonly target: string; readonly sizeBytes: number }[];
  readonly env: string[];
  readonly secretEnv: string[];
}

/** A step that is about to run. */
export interface RunInProgress {
  readonly inputs: SolvedInputs;
  readonly held: AsyncDisposableStack;
  readonly bound: BoundMounts;
  readonly signal: AbortSignal;
}

/** Opens an input of a vertex, by its place. */
type OpenSource = (
  vertex: Vertex,
  index: number,
  inputs: SolvedInputs,
  signal: AbortSignal,
) => Promise<ReadableTree>;

/** Mounts of one build's steps. */
export class StepMounts {
  readonly #context: WorkContext;
  readonly #openSource: OpenSource;

  constructor(context: WorkContext, openSource: OpenSource) {
    this.#context = context;
    this.#openSource = openSource;
  }

  async bind(vertex: Vertex, mount: RunMount, run: RunInProgress): Promise<void> {
    switch (mount.type) {
      case "tmpfs":
        run.bound.tmpfs.push({ target: mount.target, sizeBytes: mount.sizeBytes });
        return;
      case "bind":
        await this.#bindInput(vertex, mount, run);
        return;
      case "cache":
        await this.#bindCache(vertex, mount, run);
        return;
      case "secret":
        await this.#bindSecret(mount, run);
        return;
      case "ssh":
        await this.#bindAgent(mount, run);
        return;
    }
  }

  async #bindInput(
    vertex: Vertex,
    mount: Extract<RunMount, { type: "bind" }>,
    { inputs, held, bound, signal }: RunInProgress,
  ): Promise<void> {
    const { files, layers } = this.#context;
    const { source, target, writable } = mount;
    const solved = inputs.layer(mount.input);
    if (!writable) {
      const from = held.use(await this.#openSource(vertex, mount.input, inputs, signal));
      bound.binds.push({ source: this.#find(from.root, source), target, readOnly: true });
      return;
    }
    // What is written goes to a tree that is thrown away.
    const tree = held.use(await layers.write(solved?.snapshot ?? "", signal));
    if (solved === undefined) {
      const from = held.use(await this.#openSource(vertex, mount.input, inputs, signal));
      await files.copy({
        from: { root: from.root, path: "/", name: undefined },
        ...{ toRoot: tree.root, destination: "/", owner: { uid: 0, gid: 0 }, chmod: undefined },
        ...{ parents: false, exclude: [], link: false, signal },
      });
    }
    bound.binds.push({ source: this.#find(tree.root, source), target, readOnly: false });
  }

  #find(root: string, source: string): string {
    return this.#context.files.find(root, source);
  }

  async #bindCache(
    vertex: Vertex,
    mount: Extract<RunMount, { type: "cache" }>,
    { inputs, held, bound, signal }: RunInProgress,
  ): Promise<void> {
    const { cacheMounts, request, files } = this.#context;
    const { input, source, target, readOnly, sharing, uid, gid, mode } = mount;
    const owner = { uid, gid };
    const seed =
      input === undefined
        ? undefined
        : async (folder: string): Promise<void> => {
            await using from = await this.#openSource(vertex, input, inputs, signal);
            await files.copy({
              from: { root: from.root, path: source, name: undefined },
              ...{ toRoot: folder, destination: "/", owner, chmod: undefined },
              ...{ parents: false, exclude: [], link: false, signal },
            });
          };
    const taken = await cacheMounts.take(
      {
        id: `${request.cacheMountNamespace}/${mount.id}`,
        ...{ sharing, uid, gid, mode, seed },
        reset: vertex.ignoreCache,
        description: `cached mount ${target} from exec ${vertex.op.kind === "run" ? vertex.op.args.join(" ") : ""}`,
      },
      signal,
    );
    held.use(taken);
    bound.binds.push({ source: taken.path, target, readOnly });
  }

  async #bindSecret(
    mount: Extract<RunMount, { type: "secret" }>,
    { held, bound, signal }: RunInProgress,
  ): Promise<void> {
    const { inputs, secretDir } = this.#context;
    const value = await inputs.secret(mount.id, signal);
    if (value === undefined) {
      if (mount.required) throw new BuildFailure(`secret ${mount.id}: not found`);
      return;
    }
    if (mount.env !== "")
      bound.secretEnv.push(`${mount.env}=${Buffer.from(value).toString("utf8")}`);
    if (mount.target === "") return;
    await mkdir(secretDir, { recursive: true, mode: 0o700 });
    const file = path.join(secretDir, randomUUID());
    held.defer(() => {
      rmSync(file, { force: true });
    });
    await writeFile(file, value, { mode: 0o600 });
    await chown(file, mount.uid, mount.gid);
    await chmod(file, mount.mode);
    bound.binds.push({ source: file, target: mount.target, readOnly: true });
  }

  async #bindAgent(
    mount: Extract<RunMount, { type: "ssh" }>,
    { bound, signal }: RunInProgress,
  ): Promise<void> {
    const agent = await this.#context.inputs.sshAgent(mount.id, signal);
    if ("missing" in agent) {
      if (mount.required) throw new BuildFailure(agent.missing);
      return;
    }
    const { socket } = agent;
    await chown(socket, mount.uid, mount.gid);
    await chmod(socket, mount.mode);
    bound.binds.push({ source: socket, target: mount.target, readOnly: false });
    bound.env.push(`SSH_AUTH_SOCK=${mount.target}`);
  }
}

/** BuildKit's words for a source that is not there, as its vertex shows them. */
export function missingSource(error: MissingSource): MissingSource {
  const text = `failed to calculate checksum of ref ${worker}::${referenceId()}: ${JSON.stringify(error.path)}: not found`;
  return Object.assign(new MissingSource(error.path), { message: text });
}

/** As BuildKit's names of snapshots: 25 letters and digits, behind what tells workers apart. */
const worker = randomUUID();

function referenceId(): string {
  return randomUUID().replaceAll("-", "").slice(0, 25);
}
