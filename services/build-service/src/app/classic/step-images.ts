/**
 * The images of a classic build's steps: what stands after `--->`. Each is its parent's image with one step
 * more, so the ID is known as soon as the step's layer is packed. Records are written together: soon
 * after the first of them, for those who look at a build that goes on, and at its end.
 */
import type { Logger } from "@gantry/logging";
import { chainIds, parseDigest } from "@gantry/oci";
import type { StageState } from "../../domain/frontend/stage-state.ts";
import { keyOf } from "../../domain/solver/cache-key.ts";
import type { Vertex } from "../../domain/solver/vertex.ts";
import type { BuildRequest, PlatformResult } from "../../ports/build.ts";
import type { PackedLayer, StepImage } from "../../ports/layers.ts";
import type { BuilderParts } from "../builder-parts.ts";
import { Documents } from "../documents.ts";
import { addDocuments } from "../export-image.ts";
import { packChain, packLayer } from "../pack-layers.ts";
import type { PlannedStep } from "../planned-stage.ts";
import { finishedConfig } from "../platform-result.ts";
import type { SolveSession } from "../solver.ts";

/** A quick build's images are written once; who waits for a slow step can have the ones before it. */
const writeAfterMs = 300;

/** Layers of a tree, the lowest first. */
type Chain = readonly Pick<PackedLayer, "diffId" | "digest" | "mediaType" | "sizeBytes">[];

export class StepImages {
  readonly #parts: BuilderParts;
  readonly #request: BuildRequest;
  readonly #logger: Logger;
  readonly #signal: AbortSignal;
  /** By the digest of the tree's vertex. */
  readonly #chains = new Map<string, Chain>();
  /** By the ID of the image. */
  readonly #histories = new Map<string, PlatformResult["config"]["history"]>();
  /** By the ID, those that are written, too. */
  readonly #images = new Map<string, StepImage>();
  #waiting: StepImage[] = [];
  #writing: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: BuilderParts, request: BuildRequest, signal: AbortSignal) {
    this.#parts = parts;
    // The request's labels are steps of their own.
    this.#request = { ...request, labels: new Map() };
    this.#logger = parts.logger;
    this.#signal = signal;
  }

  /** Makes the image of a step whose tree is solved. @returns its ID */
  async add(step: PlannedStep, parent: string, session: SolveSession): Promise<string> {
    const { state } = step;
    const layers = await this.#layers(state, step.before, session);
    const config = this.#dated(step, parent, await finishedConfig(this.#request, state, session));
    const documents = new Documents();
    const blobs = addDocuments(documents, config, layers);
    const { digest } = blobs.manifest;
    if (digest === parent) return parent;
    this.#histories.set(digest, config.history);
    const image = {
      manifest: documents.bytesOf(blobs.manifest),
      config: documents.bytesOf(blobs.config),
      parent,
    };
    this.#images.set(digest, image);
    this.#waiting.push(image);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#write().catch((error: unknown) => {
        // The end of the build writes them, or fails.
        this.#logger.warn({ err: error }, "images of steps are not written yet");
      });
    }, writeAfterMs).unref();
    return digest;
  }

  /** What its parent's history has is the parent's; a step without files has the time at which it was done. */
  #dated(
    { before, state }: PlannedStep,
    parent: string,
    config: PlatformResult["config"],
  ): PlatformResult["config"] {
    const known = this.#histories.get(parent) ?? [];
    const history = config.history.map((item, index) => known[index] ?? item);
    const last = history.at(-1);
    const isConfig = state.tree === before.tree && history.length > before.document.history.length;
    if (last === undefined || !isConfig) return { ...config, history };
    const id = keyOf("time", parent, state.document, [...state.args]);
    const timeMs = this.#parts.cache.stepTimeMs(id, this.#request.noCache);
    const created = new Date(timeMs).toISOString();
    return { ...config, history: [...history.slice(0, -1), { ...last, created }] };
  }

  /** Writes what waits, and gives names. @param named image that gets them, or empty */
  async store(named = "", names: readonly string[] = []): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#write(named, names);
  }

  #write(named = "", names: readonly string[] = []): Promise<void> {
    const work = async (): Promise<void> => {
      const images = this.#waiting;
      if (images.length === 0 && names.length === 0) return;
      this.#waiting = [];
      try {
        await this.#store(images, named, names);
      } catch (error) {
        this.#waiting = [...images, ...this.#waiting];
        throw error;
      }
    };
    const written = this.#writing.then(work);
    this.#writing = written.catch(() => undefined);
    return written;
  }

  /** Somebody may have removed what is written already: what gets names is told again. */
  async #store(images: readonly StepImage[], named: string, names: readonly string[]) {
    const { layers } = this.#parts;
    if (names.length === 0) {
      await layers.storeStepImages(images, "", []);
      return;
    }
    const result = this.#images.get(named);
    const isAmong = result === undefined || images.includes(result);
    await layers.storeStepImages(isAmong ? images : [...images, result], named, names);
  }

  async #layers(state: StageState, before: StageState, session: SolveSession): Promise<Chain> {
    const { tree } = state;
    const known = this.#chains.get(tree.digest);
    if (known !== undefined) return known;
    const chain = await this.#pack(tree, before.tree, session);
    this.#chains.set(tree.digest, chain);
    return chain;
  }

  async #pack(tree: Vertex, below: Vertex, session: SolveSession): Promise<Chain> {
    const { snapshot } = await session.result(tree);
    if (tree.inputs[0] !== below) return await packChain(this.#parts, snapshot, this.#signal);
    const chain = this.#chains.get(below.digest) ?? (await this.#baseChain(below, session));
    const layer = await packLayer(this.#parts, snapshot, topOf(chain), this.#signal);
    // What comes next stands upon the name that the layer has now.
    if (layer.chainId !== snapshot) session.moved(tree, layer.chainId);
    return [...chain, layer];
  }

  async #baseChain(tree: Vertex, session: SolveSession): Promise<Chain> {
    const { snapshot } = await session.result(tree);
    const chain = snapshot === "" ? [] : await packChain(this.#parts, snapshot, this.#signal);
    this.#chains.set(tree.digest, chain);
    return chain;
  }
}

function topOf(chain: Chain): string {
  return chainIds(chain.map(({ diffId }) => parseDigest(diffId))).at(-1) ?? "";
}
