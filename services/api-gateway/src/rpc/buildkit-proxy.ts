/**
 * BuildKit's services for clients that speak HTTP/2 from the first byte: each stream goes to the builder
 * as it is, over one connection per client.
 */
import http2 from "node:http2";
import { pipeline } from "node:stream/promises";
import type { Logger } from "@gantry/logging";
import { connectData } from "@gantry/rpc";
import type { Backends } from "../backends.ts";

/** Options of BuildkitProxy. */
export interface BuildkitProxyOptions {
  readonly buildkit: Backends["buildkit"];
  readonly logger: Logger;
}

/** Packages of the builder's own protocol. */
const paths =
  /^\/(?:moby\.buildkit\.v1\.(?:Control|frontend\.LLBBridge)|containerd\.services\.content\.v1\.Content)\//;

/** Headers that are about one connection only. */
const connectionHeaders = new Set([":scheme", ":authority", "host", "connection", "keep-alive"]);

/** Passes streams on. */
export class BuildkitProxy {
  readonly #options: BuildkitProxyOptions;
  readonly #upstreams = new WeakMap<http2.Http2Session, Promise<http2.ClientHttp2Session>>();

  constructor(options: BuildkitProxyOptions) {
    this.#options = options;
  }

  /** Whether a call is the builder's. */
  takes(path: string): boolean {
    return paths.test(path);
  }

  /** Passes a stream on. */
  answer(request: http2.Http2ServerRequest, response: http2.Http2ServerResponse): void {
    const { stream, headers } = request;
    const fail = (error: unknown): void => {
      this.#options.logger.debug({ err: error, path: headers[":path"] }, "builder was not reached");
      if (stream.destroyed || stream.headersSent) stream.destroy();
      else stream.respond(unavailable, { endStream: true });
    };
    this.#upstream(stream.session)
      .then((upstream) => joinStreams(response, upstream.request(forwarded(headers))))
      .catch(fail);
  }

  #upstream(session: http2.Http2Session | undefined): Promise<http2.ClientHttp2Session> {
    if (session === undefined) return Promise.reject(new Error("the client has gone"));
    const known = this.#upstreams.get(session);
    if (known !== undefined) return known;
    const upstream = this.#connect(session);
    this.#upstreams.set(session, upstream);
    // Whoever asked for it is told; the next one tries again.
    upstream.catch(() => this.#upstreams.delete(session));
    return upstream;
  }

  async #connect(session: http2.Http2Session): Promise<http2.ClientHttp2Session> {
    const { stream } = await this.#options.buildkit.openControl({});
    if (stream === undefined) throw new Error("the builder gave no data endpoint");
    const socket = await connectData(stream);
    const upstream = http2.connect("http://builder", { createConnection: () => socket });
    upstream.on("error", () => undefined);
    upstream.once("close", () => this.#upstreams.delete(session));
    session.once("close", () => {
      upstream.destroy();
    });
    return upstream;
  }
}

const unavailable: http2.OutgoingHttpHeaders = {
  ":status": 200,
  "content-type": "application/grpc",
  "grpc-status": "14",
  "grpc-message": "the builder is not available",
};

function forwarded(headers: http2.IncomingHttpHeaders): http2.OutgoingHttpHeaders {
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => !connectionHeaders.has(name)),
  );
}

/** Joins two streams until both have ended. A reset of one resets the other. */
async function joinStreams(
  response: http2.Http2ServerResponse,
  builder: http2.ClientHttp2Stream,
): Promise<void> {
  const client = response.stream;
  builder.once("response", (headers, flags) => {
    if (client.destroyed) return;
    const endStream = (flags & http2.constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    client.respond(headers, { endStream, waitForTrailers: !endStream });
  });
  builder.once("trailers", (received) => {
    // Node's response sends them itself when the body has ended.
    response.addTrailers(received);
  });
  client.once("aborted", () => {
    builder.close(http2.constants.NGHTTP2_CANCEL);
  });
  // The builder may answer before it has read everything: then the answer is what counts.
  client.pipe(builder);
  builder.once("close", () => {
    client.unpipe(builder);
    client.resume();
  });
  await pipeline(builder, client);
}
