/** `docker load`: docker-archive and OCI layout, compressed or not. */
import { invalidArgument, notFound } from "@gantry/errors";
import {
  familiarName,
  formatPlatform,
  type Platform,
  parseReference,
  shortDigest,
} from "@gantry/oci";
import { chooseManifest } from "../domain/image-view.ts";
import type { Emit } from "../domain/progress.ts";
import type { Hold } from "./holds.ts";
import { unpackLimits } from "./limits.ts";
import { ArchiveLoader, type LoadedTarget } from "./load-archive.ts";
import { eventAttributes, recordImage } from "./record-image.ts";
import { type LayerListener, unpackPresent } from "./resolve-image.ts";
import type { Store } from "./store.ts";

export interface LoadRequest {
  readonly input: AsyncIterable<Uint8Array>;
  readonly quiet: boolean;
  readonly platforms: readonly Platform[];
  readonly emit: Emit;
  readonly signal: AbortSignal;
}

/** Images that were loaded before a failure stay. */
export async function loadImages(store: Store, request: LoadRequest): Promise<void> {
  using hold = store.holds.open();
  using scratch = store.content.scratch();
  try {
    const limits = await unpackLimits(scratch.path);
    await store.program.extract({
      input: request.input,
      directory: scratch.path,
      limits,
      signal: request.signal,
    });
    const { platforms } = request;
    const loader = new ArchiveLoader({ store, directory: scratch.path, hold, platforms });
    try {
      for (const loaded of await loader.load())
        await finish(store, loaded, { hold, loader, request });
    } finally {
      await Promise.allSettled(loader.arriving.values());
    }
  } catch (error) {
    store.collector.schedule();
    throw error;
  }
}

interface Loading {
  readonly hold: Hold;
  readonly loader: ArchiveLoader;
  readonly request: LoadRequest;
}

async function finish(
  store: Store,
  loaded: LoadedTarget,
  { hold, loader: { arriving }, request }: Loading,
): Promise<void> {
  const { digest } = loaded.target;
  store.catalog.forget(digest);
  const target = await store.catalog.view(digest);
  const { blobs } = store.metadata;
  const [wanted] = request.platforms;
  const choice = chooseManifest(target, wanted ?? store.host, {
    strict: wanted !== undefined,
    has: (each) => blobs.has(each) || arriving.has(each),
  });
  if (choice === undefined && target.manifests.some(({ kind }) => kind === "image")) {
    throw wanted === undefined
      ? invalidArgument("invalid archive: no image in it is complete")
      : notFound(
          "image",
          digest,
          `requested platform (${formatPlatform(wanted)}) not found: image might be filtered out`,
        );
  }
  if (choice !== undefined) {
    const { view } = choice;
    await unpackPresent(store, view, hold, request.signal, {
      ...(request.quiet ? {} : layerReporter(request.emit, view)),
      blobReady: async (index) => {
        const layer = view.manifest?.layers[index];
        if (layer !== undefined) await arriving.get(layer.digest);
      },
    });
  }
  await Promise.all(arriving.values());
  store.metadata.change((change) => {
    recordImage(store, change, loaded.target, loaded.names);
    change.event({
      type: "image",
      action: "load",
      actorId: digest,
      attributes: eventAttributes(store, digest, digest),
    });
  });
  await store.metadata.flush();
  announce(loaded, request.emit);
}

function layerReporter(
  emit: Emit,
  view: { readonly diffIds: readonly string[]; readonly manifest: LayersOf | undefined },
): LayerListener {
  const begun = new Set<number>();
  const say = (index: number, done: boolean): void => {
    const total = view.manifest?.layers[index]?.size ?? 0;
    const id = shortDigest(view.diffIds[index] ?? "");
    emit({ id, status: "Loading layer", detail: { current: done ? total : 0, total } });
  };
  return {
    onBegin: (index) => {
      begun.add(index);
      say(index, false);
    },
    onDone: (index) => {
      // Nothing is said of a layer that was there.
      if (begun.has(index)) say(index, true);
    },
  };
}

interface LayersOf {
  readonly layers: readonly { readonly size: number }[];
}

function announce(loaded: LoadedTarget, emit: Emit): void {
  if (loaded.names.length === 0) {
    emit({ stream: `Loaded image ID: ${loaded.target.digest}\n` });
    return;
  }
  for (const name of loaded.names) {
    emit({ stream: `Loaded image: ${familiarName(parseReference(name))}\n` });
  }
}
