/** A graph as BuildKit's provenance shows it: numbered steps, and where they stand in the Dockerfile. */
import { createHash } from "node:crypto";
import { type LlbOptions, type LlbStep, llbSteps } from "./llb-ops.ts";
import type { Vertex } from "./vertex.ts";

/** Steps by number. */
export interface LlbConfig {
  readonly llbDefinition: readonly object[];
  /** Of a digest, as progress has it, the step: `step3`. */
  readonly digestMapping: Readonly<Record<string, string>>;
}

/** A graph in that form. */
export interface LlbGraph extends LlbConfig {
  /** By step; of those that stand in no line an empty object. */
  readonly locations: Readonly<Record<string, object>>;
  /** Steps of the result's own chain, that of its base first: what each one's tree is made of. */
  readonly chain: readonly string[];
}

/** Numbers the steps that a result is made by. */
export function llbGraph(root: Vertex, options: LlbOptions): LlbGraph {
  const steps = new Steps();
  const locations: Record<string, object> = {};
  for (const vertex of inOrder(root)) {
    const made = llbSteps(vertex, options);
    for (const step of made) locations[steps.add(step)] = locationOf(vertex);
  }
  const { op } = root;
  steps.end(op.kind === "scratch" ? [] : [root.digest]);
  const chain = chainOf(root).map(({ digest }) => steps.nameOf(digest));
  return { ...steps.config(), locations, chain };
}

/** The client's directory that the Dockerfile was read from. */
export function llbOfDockerfile(name: string, directory: string): LlbConfig {
  const folder = { "local.differ": "none", "local.sharedkeyhint": directory };
  const files = [name, `${name}.dockerignore`, ...(name === "Dockerfile" ? ["dockerfile"] : [])];
  const attrs = { ...folder, "local.followpaths": JSON.stringify(files) };
  const source = { identifier: `local://${directory}`, attrs };
  const steps = new Steps();
  const digest = digestOf(JSON.stringify(source));
  steps.add({ digest, op: { Op: { source }, constraints: {} }, inputs: [] });
  steps.end([digest]);
  return steps.config();
}

class Steps {
  readonly #definition: object[] = [];
  readonly #names = new Map<string, string>();

  add({ digest, op, inputs }: LlbStep): string {
    const known = this.#names.get(digest);
    if (known !== undefined) return known;
    const id = `step${String(this.#definition.length)}`;
    this.#names.set(digest, id);
    const from = inputs.map((input) => `${this.nameOf(input)}:0`);
    this.#definition.push({ id, op, ...(from.length > 0 && { inputs: from }) });
    return id;
  }

  /** The end of a definition is a step that only names the result. */
  end(results: readonly string[]): void {
    this.add({ digest: digestOf(`result ${results.join()}`), op: { Op: {} }, inputs: results });
  }

  nameOf(digest: string): string {
    const name = this.#names.get(digest);
    if (name === undefined) throw new RangeError(`no step ${digest}`);
    return name;
  }

  config(): LlbConfig {
    const named = [...this.#names].map(([key, name]) => [asDigest(key), name] as const);
    const sorted = named.toSorted(([a], [b]) => (a < b ? -1 : 1));
    return { llbDefinition: this.#definition, digestMapping: Object.fromEntries(sorted) };
  }
}

const digestOf = (text: string): string =>
  `sha256:${createHash("sha256").update(text).digest("hex")}`;

const asDigest = (key: string): string => (/^sha256:[0-9a-f]{64}$/.test(key) ? key : digestOf(key));

/** Each vertex once, behind its inputs. */
function inOrder(root: Vertex): Vertex[] {
  const found = new Map<string, Vertex>();
  const visit = (vertex: Vertex): void => {
    if (found.has(vertex.digest)) return;
    for (const input of vertex.inputs) visit(input);
    found.set(vertex.digest, vertex);
  };
  visit(root);
  return [...found.values()];
}

/** A tree's vertices from the base up. */
function chainOf(root: Vertex): Vertex[] {
  if (root.op.kind === "scratch") return [];
  if (root.op.kind === "image" || root.op.kind === "layer") return [root];
  const [below] = root.inputs;
  return [...(below === undefined ? [] : chainOf(below)), root];
}

/** Each line is a range of its own. What a heredoc holds belongs to the step that takes it. */
function locationOf({ op, lines }: Vertex): object {
  if (lines === undefined || op.kind === "inline") return {};
  const count = lines.last - lines.first + 1;
  const ranges = Array.from({ length: count }, (_, index) => {
    const line = lines.first + index;
    return { start: { line }, end: { line } };
  });
  return { locations: [{ ranges }] };
}
