/** ImageService: load, save, import. */
import type { ImageService } from "@gantry/proto/image";
import type { DataListener, Handlers } from "@gantry/rpc";
import { checkImport, importImage } from "../app/import-image.ts";
import { loadImages } from "../app/load-images.ts";
import { planSave } from "../app/save-images.ts";
import type { Store } from "../app/store.ts";
import { openExchange, receive, send } from "./data-exchange.ts";
import { platformOf, platformsOf, wireProgress } from "./messages.ts";
import { streamProgress } from "./progress-stream.ts";

/** Fetches a URL's bytes: `docker import http://…`. */
export type FetchUrl = (url: string, signal: AbortSignal) => AsyncIterable<Uint8Array>;

export function archiveHandlers(
  store: Store,
  data: DataListener,
  fetchUrl: FetchUrl,
): Pick<Handlers<typeof ImageService>, "loadImages" | "saveImages" | "importImage"> {
  return {
    async *loadImages({ quiet, platforms }, { signal }) {
      using exchange = openExchange(data, signal);
      yield { data: exchange.target };
      const input = receive(exchange);
      const wanted = platformsOf(platforms);
      for await (const progress of streamProgress((emit) =>
        loadImages(store, { input, quiet, platforms: wanted, emit, signal }),
      )) {
        yield { progress: wireProgress(progress) };
      }
      exchange.finish();
    },

    async *saveImages({ images, platforms }, { signal }) {
      using plan = await planSave(store, images, platformsOf(platforms));
      using exchange = openExchange(data, signal);
      yield { data: exchange.target };
      await send(exchange, plan.bytes(signal));
      exchange.finish();
    },

    async *importImage(request, { signal }) {
      const { repository, tag, message, changes, url } = request;
      checkImport({ repository, tag, changes });
      using exchange = openExchange(data, signal);
      if (url === "") yield { data: exchange.target };
      for await (const progress of streamProgress((emit) =>
        importImage(store, {
          input: url === "" ? receive(exchange) : fetchUrl(url, signal),
          source: url === "" ? "-" : url,
          repository,
          tag,
          message,
          changes,
          platform: platformOf(request.platform),
          emit,
          signal,
        }),
      )) {
        yield { progress: wireProgress(progress) };
      }
      exchange.finish();
    },
  };
}
