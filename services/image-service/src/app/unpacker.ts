/**
 * Unpacks images' layers to snapshots, each chain once however many ask. Layers of one image are
 * unpacked some at a time, since each has a folder of its own, and recorded in order, lowest first.
 */
import { canceled, internal, invalidArgument } from "@gantry/errors";
import type { ManifestView } from "../domain/image-view.ts";
import type { LayerSource } from "../ports/layers.ts";
import type { Hold } from "./holds.ts";
import { type LayerJob, startLayer, type UnpackLayerDeps } from "./unpack-layer.ts";

/**
 * Layers of one image whose files are written at the same time, however few processors there are: a small
 * layer's time goes on waiting, for its bytes, for the start of its program, for the disk.
 */
const parallelLayers = 4;

/** Layers of one image that are not recorded yet: being written, or waiting for one below. */
const unrecordedLayers = 16;

/** One image to unpack. */
export interface UnpackRequest {
  /** With manifest and config present. */
  readonly view: ManifestView;
  /** Keeps the chain from the collector. */
  readonly hold: Hold;
  /** Where a layer's bytes are; may wait until there are some. */
  readonly sourceOf: (index: number) => Promise<LayerSource>;
  /** Resolves when a layer's blob is whole and recorded. */
  readonly blobReady: (index: number) => Promise<void>;
  /** A layer's first bytes are here. In order, as a rule. */
  readonly onBegin?: ((index: number) => void) | undefined;
  /** A layer is there. In order. */
  readonly onDone?: ((index: number) => void) | undefined;
  readonly signal: AbortSignal;
}

/** The unpacker. */
export interface Unpacker {
  /** Resolves when all layers are unpacked. A failure of one ends the others. */
  unpack(request: UnpackRequest): Promise<void>;
}

export function createUnpacker(deps: UnpackLayerDeps): Unpacker {
  const running = new Map<string, Promise<void>>();
  return {
    async unpack(request) {
      checkShape(request.view);
      await new ChainUnpacking(deps, running, request).run();
    },
  };
}

function checkShape(view: ManifestView): void {
  const layers = view.manifest?.layers.length ?? 0;
  if (view.config === undefined) throw invalidArgument("image config is missing or malformed");
  if (layers !== view.diffIds.length) {
    throw invalidArgument(
      `mismatched image rootfs and manifest layers: ${view.diffIds.length} diff IDs, ${layers} layers`,
    );
  }
}

/** One image's layers. */
class ChainUnpacking {
  readonly #deps: UnpackLayerDeps;
  /** Layers on their way, of all images, by chain. */
  readonly #running: Map<string, Promise<void>>;
  readonly #request: UnpackRequest;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  /** Ours that are not recorded yet, by chain. */
  readonly #jobs = new Map<string, LayerJob>();
  readonly #writing = new Set<Promise<unknown>>();
  readonly #attended = new Set<Promise<void>>();
  #failure: { readonly error: unknown } | undefined;

  constructor(deps: UnpackLayerDeps, running: Map<string, Promise<void>>, request: UnpackRequest) {
    this.#deps = deps;
    this.#running = running;
    this.#request = request;
    this.#signal = AbortSignal.any([request.signal, this.#stop.signal]);
  }

  async run(): Promise<void> {
    const { chain } = this.#request.view;
    try {
      for (const [index, key] of chain.entries()) await this.#begin(index, key);
    } catch (error) {
      this.#fail(error);
    }
    await Promise.all(this.#attended);
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#stop.abort();
  }

  /** Returns when the next layer may begin. */
  async #begin(index: number, key: string): Promise<void> {
    this.#request.hold.snapshot(key);
    for (;;) {
      this.#throwIfStopped();
      if (this.#deps.metadata.snapshots.has(key)) {
        this.#request.onDone?.(index);
        return;
      }
      const other = this.#running.get(key);
      // Somebody else's failure is not ours: try again then.
      if (other !== undefined) await untilSettled([other], this.#signal);
      else if (this.#mustWait()) await untilSettled(this.#inTheWay(), this.#signal);
      else break;
    }
    this.#start(index, key);
  }

  #throwIfStopped(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
    if (this.#signal.aborted) throw canceled("unpacking was canceled");
  }

  #mustWait(): boolean {
    return this.#writing.size >= parallelLayers || this.#jobs.size >= unrecordedLayers;
  }

  #inTheWay(): readonly Promise<unknown>[] {
    return [...(this.#writing.size >= parallelLayers ? this.#writing : this.#attended)];
  }

  #start(index: number, key: string): void {
    const { view } = this.#request;
    const below = this.#jobs.get(view.chain[index - 1] ?? "")?.done ?? Promise.resolve();
    const lowers = view.chain
      .slice(0, index)
      .map((lower) => this.#deps.dirs.treeOf(this.#idOf(lower)))
      .reverse();
    const order = { request: this.#request, index, lowers, below, signal: this.#signal };
    const job = startLayer(this.#deps, order);
    this.#jobs.set(key, job);
    this.#running.set(key, job.done);
    const written = job.unpacked
      .catch(() => undefined)
      .finally(() => this.#writing.delete(written));
    this.#writing.add(written);
    const ended = this.#attend(index, key, job).finally(() => this.#attended.delete(ended));
    this.#attended.add(ended);
  }

  async #attend(index: number, key: string, job: LayerJob): Promise<void> {
    try {
      await job.done;
      this.#request.onDone?.(index);
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#jobs.delete(key);
      this.#running.delete(key);
    }
  }

  #idOf(key: string): number {
    const id = this.#jobs.get(key)?.id ?? this.#deps.metadata.snapshots.get(key)?.id;
    if (id === undefined) throw internal(`layer ${key} is missing`);
    return id;
  }
}

/** Resolves when one of them has ended, well or not, or the signal aborts. */
async function untilSettled(
  works: readonly Promise<unknown>[],
  signal: AbortSignal,
): Promise<void> {
  const aborted = Promise.withResolvers<undefined>();
  const onAbort = (): void => {
    aborted.resolve(undefined);
  };
  if (signal.aborted) return;
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    const settled = works.map((work) => work.catch(() => undefined));
    await Promise.race([...settled, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
