/** Servers of the gRPC edge, loaded at first use. */
import type http from "node:http";
import http2 from "node:http2";
import type { Socket } from "node:net";
import { Code, ConnectError, createConnectRouter } from "@connectrpc/connect";
import {
  compressionBrotli,
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from "@connectrpc/connect-node";
import type { Logger } from "@gantry/logging";
import { maxMessageBytes } from "@gantry/rpc";
import { BuildkitProxy } from "./buildkit-proxy.ts";
import { registerProxies } from "./proxy.ts";
import type { RpcEdgeOptions } from "./rpc-edge.ts";

/** Limits of one HTTP/2 connection (class S23: what one peer may cost us). */
const http2Limits: http2.ServerOptions = {
  settings: {
    maxConcurrentStreams: 256,
    maxHeaderListSize: 64 * 1024,
    initialWindowSize: 256 * 1024,
    enablePush: false,
  },
  maxHeaderListPairs: 256,
  maxSendHeaderBlockLength: 64 * 1024,
  // Kilobytes... of Node's: megabytes that one session may hold.
  maxSessionMemory: 32,
  maxSettings: 32,
  maxOutstandingPings: 10,
  maxSessionInvalidFrames: 100,
  maxSessionRejectedStreams: 100,
  // Rapid reset: a burst, then a steady rate; beyond it the session ends.
  streamResetBurst: 200,
  streamResetRate: 20,
  unknownProtocolTimeout: 10_000,
};

type Handler = ReturnType<typeof createConnectRouter>["handlers"][number];

/** Both servers' handlers. */
export class LoadedEdge {
  readonly #handlers: ReadonlyMap<string, Handler>;
  readonly #http2: http2.Http2Server;
  readonly #sessions = new Set<http2.Http2Session>();
  readonly #logger: Logger;

  constructor({ channels, logger, api }: RpcEdgeOptions) {
    this.#logger = logger;
    const router = createConnectRouter({
      acceptCompression: [compressionGzip, compressionBrotli],
      readMaxBytes: maxMessageBytes,
      writeMaxBytes: maxMessageBytes,
    });
    registerProxies(router, channels);
    this.#handlers = new Map(router.handlers.map((each) => [each.requestPath, each]));
    const buildkit = new BuildkitProxy({ buildkit: channels.backends.buildkit, logger });
    this.#http2 = http2.createServer(http2Limits, (request, response) => {
      if (buildkit.takes(request.url)) {
        buildkit.answer(request, response);
        return;
      }
      const h1Request = request as unknown as http.IncomingMessage;
      const h1Response = response as unknown as http.ServerResponse;
      if (this.#handlers.has(pathOf(request.url)) || isGrpc(request.headers)) {
        this.answer(h1Request, h1Response);
      } else api.answer(h1Request, h1Response);
    });
    this.#http2.on("session", (session) => {
      this.#watch(session);
    });
  }

  /** Answers a call by gRPC, gRPC-Web or Connect. */
  answer(request: http.IncomingMessage, response: http.ServerResponse): void {
    const handler = this.#handlers.get(pathOf(request.url ?? ""));
    if (handler === undefined) {
      answerUnknown(request, response);
      return;
    }
    handler(universalRequestFromNodeRequest(request, response, undefined, undefined))
      .then((answer) => universalResponseToNodeResponse(withPlainMessage(answer), response))
      .catch((error: unknown) => {
        response.destroy();
        if (ConnectError.from(error).code === Code.Aborted) return;
        this.#logger.debug({ err: error, url: request.url }, "call was cut");
      });
  }

  takeConnection(socket: Socket): void {
    socket.on("error", () => undefined);
    // The listeners leave half-closed connections open, for HTTP/1.1's sake. In HTTP/2 it is the client's death
    // without a word: its calls would go on for ever.
    socket.once("end", () => {
      socket.destroy();
    });
    this.#http2.emit("connection", socket);
  }

  close(): void {
    for (const session of this.#sessions) session.destroy();
  }

  #watch(session: http2.Http2Session): void {
    this.#sessions.add(session);
    session.on("error", (error) => {
      this.#logger.debug({ err: error }, "HTTP/2 session failed");
    });
    session.once("close", () => {
      this.#sessions.delete(session);
    });
  }
}

type Answer = Awaited<ReturnType<Handler>>;

/**
 * gRPC escapes only what a header can't hold. connect escapes more, and grpc-js doesn't take that back:
 * `No such container: x` would reach its users as `No such container%3A x`.
 */
function withPlainMessage(answer: Answer): Answer {
  const { trailer } = answer;
  if (trailer === undefined) return answer;
  return {
    ...answer,
    // Read when the body has ended, which is when the status is known.
    get trailer() {
      const message = trailer.get("grpc-message");
      if (message !== null) trailer.set("grpc-message", reescape(message));
      return trailer;
    },
  };
}

function reescape(message: string): string {
  return message.replace(/%[0-9A-F]{2}/g, (escape) => {
    const code = Number.parseInt(escape.slice(1), 16);
    return code >= 0x20 && code <= 0x7e && code !== 0x25 ? String.fromCharCode(code) : escape;
  });
}

function pathOf(url: string): string {
  const questionMark = url.indexOf("?");
  return questionMark === -1 ? url : url.slice(0, questionMark);
}

const isGrpc = ({ "content-type": type }: http.IncomingHttpHeaders): boolean =>
  type?.startsWith("application/grpc") ?? false;

/** gRPC clients get a status they understand, others a 404. */
function answerUnknown(request: http.IncomingMessage, response: http.ServerResponse): void {
  if (isGrpc(request.headers)) {
    response.writeHead(200, {
      "content-type": "application/grpc",
      "grpc-status": String(Code.Unimplemented),
      "grpc-message": "unknown method",
    });
    response.end();
    return;
  }
  response.writeHead(404, { "content-type": "application/json" });
  response.end(`${JSON.stringify({ code: "unimplemented", message: "unknown method" })}\n`);
}
