/** Downloads an image's layers, some at a time, and unpacks them while they arrive. */
import type { Descriptor, Digest } from "@gantry/oci";
import { shortDigest } from "@gantry/oci";
import type { ManifestView } from "../domain/image-view.ts";
import type { Emit } from "../domain/progress.ts";
import type { LayerSource } from "../ports/layers.ts";
import type { Repository } from "../ports/registry.ts";
import type { Fetching, FetchListener } from "./blob-fetcher.ts";
import type { Hold } from "./holds.ts";
import type { PullDeps } from "./pull-image.ts";

/** How often the seconds of an extraction are told. */
const extractTickMs = 1000;

export interface LayersRequest {
  readonly repository: Repository;
  readonly view: ManifestView;
  readonly hold: Hold;
  readonly emit: Emit;
  readonly signal: AbortSignal;
}

/** A failure of one layer ends the others; what they fetched is kept. */
export async function pullLayers(deps: PullDeps, request: LayersRequest): Promise<void> {
  const { store } = deps;
  const layers = request.view.manifest?.layers ?? [];
  const stop = new AbortController();
  const signal = AbortSignal.any([request.signal, stop.signal]);
  const fetches = beginFetches(deps, { ...request, signal }, layers);
  const failed = Promise.all([...fetches.values()].map(({ done }) => done));
  using reporter = new ExtractReporter(request.emit, layers);
  const unpacked = store.unpacker.unpack({
    view: request.view,
    hold: request.hold,
    sourceOf: (index) => sourceOf(deps, fetches, layers[index]),
    blobReady: async (index) => {
      const layer = layers[index];
      if (layer !== undefined) await fetches.get(layer.digest)?.done;
    },
    onBegin: (index) => {
      reporter.begin(index);
    },
    onDone: (index) => {
      reporter.done(index);
    },
    signal,
  });
  try {
    await Promise.all([failed, unpacked]);
  } catch (error) {
    stop.abort();
    await Promise.allSettled([...[...fetches.values()].map(({ done }) => done), unpacked]);
    throw error;
  }
}

/** In order, so that the lowest layers, which are unpacked first, come first. */
function beginFetches(
  deps: PullDeps,
  request: LayersRequest,
  layers: readonly Descriptor[],
): Map<Digest, Fetching> {
  const { blobs, snapshots } = deps.store.metadata;
  const fetches = new Map<Digest, Fetching>();
  const unique = [...new Map(layers.map((layer) => [layer.digest, layer])).values()];
  const present = new Set(unique.filter(({ digest }) => blobs.has(digest)).map((l) => l.digest));
  for (const layer of unique) {
    const chain = request.view.chain[layers.indexOf(layer)] ?? "";
    const there = present.has(layer.digest) && snapshots.has(chain);
    const status = there ? "Already exists" : "Pulling fs layer";
    request.emit({ id: shortDigest(layer.digest), status, detail: {} });
  }
  for (const layer of unique) {
    if (present.has(layer.digest)) continue;
    const fetching = deps.fetcher.fetch({
      descriptor: layer,
      repository: request.repository,
      slots: deps.slots,
      signal: request.signal,
      on: listener(request.emit, layer),
    });
    const { done } = fetching;
    const told = done.then(() => {
      request.emit({ id: shortDigest(layer.digest), status: "Download complete", detail: {} });
    });
    // Whoever waits for the layer is told; one may fail before that.
    told.catch(() => undefined);
    fetches.set(layer.digest, { ...fetching, done: told });
  }
  return fetches;
}

/** At most so often is a download's progress told. */
const progressIntervalMs = 100;

function listener(emit: Emit, { digest, size }: Descriptor): FetchListener {
  const id = shortDigest(digest);
  let told = 0;
  return {
    waiting: () => {
      emit({ id, status: "Waiting", detail: {} });
    },
    progress: (current) => {
      const now = performance.now();
      if (now - told < progressIntervalMs && current < size) return;
      told = now;
      emit({ id, status: "Downloading", detail: { current, total: size } });
    },
    verifying: () => {
      emit({ id, status: "Verifying Checksum", detail: {} });
    },
    retrying: (seconds) => {
      emit({ id, status: `Retrying in ${seconds} second${seconds === 1 ? "" : "s"}`, detail: {} });
    },
  };
}

async function sourceOf(
  deps: PullDeps,
  fetches: ReadonlyMap<Digest, Fetching>,
  layer: Descriptor | undefined,
): Promise<LayerSource> {
  if (layer === undefined) throw new RangeError("more diff IDs than layers");
  const ingest = await fetches.get(layer.digest)?.ingest;
  const whole = deps.store.metadata.blobs.has(layer.digest) || ingest === undefined || ingest.ended;
  if (!whole) return { kind: "ingest", ingest };
  return { kind: "file", path: deps.store.content.pathOf(layer.digest) };
}

/** Tells how long each layer has been unpacked, as Docker does with its containerd store. */
class ExtractReporter implements Disposable {
  readonly #emit: Emit;
  readonly #layers: readonly Descriptor[];
  /** Of layers that are being unpacked now. */
  readonly #timers = new Map<number, NodeJS.Timeout>();

  constructor(emit: Emit, layers: readonly Descriptor[]) {
    this.#emit = emit;
    this.#layers = layers;
  }

  begin(index: number): void {
    const start = performance.now();
    const tell = (): void => {
      const seconds = Math.round((performance.now() - start) / 1000);
      this.#say(index, "Extracting", { current: Math.max(1, seconds), units: "s" });
    };
    tell();
    this.#timers.set(index, setInterval(tell, extractTickMs));
  }

  done(index: number): void {
    const timer = this.#timers.get(index);
    // A layer that was there has its own word already.
    if (timer === undefined) return;
    clearInterval(timer);
    this.#timers.delete(index);
    this.#say(index, "Pull complete", {});
  }

  [Symbol.dispose](): void {
    for (const timer of this.#timers.values()) clearInterval(timer);
  }

  #say(index: number, status: string, detail: { current?: number; units?: string }): void {
    this.#emit({ id: shortDigest(this.#layers[index]?.digest ?? ""), status, detail });
  }
}
