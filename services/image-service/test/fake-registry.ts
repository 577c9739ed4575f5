/** A registry that answers as a test tells it to. */
import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import type { MadeImage } from "@gantry/testkit/image-maker";

/** One request as it came. */
export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: http.IncomingHttpHeaders;
}

/** True: the request was answered. */
export type Answer = (
  request: http.IncomingMessage,
  response: http.ServerResponse,
) => boolean | Promise<boolean>;

export interface FakeRegistry extends AsyncDisposable {
  readonly host: string;
  readonly seen: Seen[];
  /** Documents and blobs by digest, and manifests by tag. */
  readonly blobs: Map<string, Uint8Array>;
  readonly manifests: Map<string, { readonly type: string; readonly bytes: Uint8Array }>;
  /** Asked before all else. */
  answer: Answer | undefined;
}

export async function startFakeRegistry(): Promise<FakeRegistry> {
  const seen: Seen[] = [];
  const blobs = new Map<string, Uint8Array>();
  const manifests = new Map<string, { type: string; bytes: Uint8Array }>();
  const server = http.createServer((request, response) => {
    seen.push({ method: request.method ?? "", url: request.url ?? "", headers: request.headers });
    void (async () => {
      if (await registry.answer?.(request, response)) return;
      serve(request, response);
    })();
  });
  const serve = (request: http.IncomingMessage, response: http.ServerResponse): void => {
    const url = request.url ?? "";
    const manifest = /\/manifests\/([^/?]+)$/.exec(url)?.[1];
    const blob = /\/blobs\/([^/?]+)$/.exec(url)?.[1];
    const document = manifest === undefined ? undefined : manifests.get(manifest);
    const bytes = document?.bytes ?? (blob === undefined ? undefined : blobs.get(blob));
    if (bytes === undefined) {
      response.writeHead(404).end();
      return;
    }
    if (document !== undefined) response.setHeader("content-type", document.type);
    const from = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
    if (from > 0) {
      response.writeHead(206, {
        "content-range": `bytes ${from}-${bytes.length - 1}/${bytes.length}`,
        "content-length": bytes.length - from,
      });
    } else response.writeHead(200, { "content-length": bytes.length });
    response.end(request.method === "HEAD" ? undefined : bytes.subarray(from));
  };
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const registry: FakeRegistry = {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    blobs,
    manifests,
    answer: undefined,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
  return registry;
}

const manifestType = "application/vnd.oci.image.manifest.v1+json";

/** Puts an image there under a tag and its digest. */
export function serveImage(registry: FakeRegistry, tag: string, image: MadeImage): void {
  for (const [digest, bytes] of image.blobs) registry.blobs.set(digest, bytes);
  const document = { type: manifestType, bytes: image.manifest };
  registry.manifests.set(tag, document);
  registry.manifests.set(image.manifestDigest, document);
}
