/** BuildKit's services on connections that are handed in. */
import type http from "node:http";
import http2 from "node:http2";
import type { Duplex } from "node:stream";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, type ConnectRouter, createConnectRouter } from "@connectrpc/connect";
import {
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from "@connectrpc/connect-node";
import type { Logger } from "@gantry/logging";
import { StatusSchema } from "@gantry/proto/buildkit";
import { maxMessageBytes } from "@gantry/rpc";
import { toWireFailure } from "./failure.ts";

/** Options of a WireServer. */
export interface WireServerOptions {
  readonly routes: (router: ConnectRouter) => void;
  readonly logger: Logger;
}

type Handler = ReturnType<typeof createConnectRouter>["handlers"][number];
type Answer = Awaited<ReturnType<Handler>>;

const limits: http2.ServerOptions = {
  settings: {
    maxConcurrentStreams: 1024,
    maxHeaderListSize: 64 * 1024,
    initialWindowSize: 1024 * 1024,
    enablePush: false,
  },
  maxHeaderListPairs: 256,
  maxSendHeaderBlockLength: 256 * 1024,
  maxSessionMemory: 64,
  maxSettings: 32,
  streamResetBurst: 500,
  streamResetRate: 50,
};

/** A gRPC server without a socket of its own. */
export class WireServer {
  readonly #handlers: ReadonlyMap<string, Handler>;
  readonly #http2: http2.Http2Server;
  readonly #sessions = new Set<http2.Http2Session>();
  readonly #logger: Logger;

  constructor({ routes, logger }: WireServerOptions) {
    this.#logger = logger;
    const router = createConnectRouter({
      acceptCompression: [],
      connect: false,
      grpcWeb: false,
      readMaxBytes: maxMessageBytes,
      writeMaxBytes: maxMessageBytes,
    });
    routes(router);
    this.#handlers = new Map(router.handlers.map((each) => [each.requestPath, each]));
    this.#http2 = http2.createServer(limits, (request, response) => {
      this.#answer(
        request as unknown as http.IncomingMessage,
        response as unknown as http.ServerResponse,
      );
    });
    this.#http2.on("session", (session) => {
      this.#watch(session);
    });
  }

  /** Serves a connection until it closes. A peer that closes it at once says nothing by that. */
  serve(connection: Duplex): Promise<void> {
    connection.on("error", () => undefined);
    const closed = new Promise<void>((resolve) => {
      connection.once("close", () => {
        resolve();
      });
    });
    connection.once("end", () => {
      connection.destroy();
    });
    this.#http2.emit("connection", connection);
    return closed;
  }

  /** Cuts every connection. */
  close(): void {
    for (const session of this.#sessions) session.destroy();
  }

  #answer(request: http.IncomingMessage, response: http.ServerResponse): void {
    const handler = this.#handlers.get(request.url ?? "");
    if (handler === undefined) {
      response.writeHead(200, {
        "content-type": "application/grpc",
        "grpc-status": String(Code.Unimplemented),
        "grpc-message": `unknown method ${request.url ?? ""}`,
      });
      response.end();
      return;
    }
    handler(universalRequestFromNodeRequest(request, response, undefined, undefined))
      .then((answer) =>
        handler.method.methodKind === "unary"
          ? sendWhole(withDetails(answer), response)
          : universalResponseToNodeResponse(withDetails(answer), response),
      )
      .catch((error: unknown) => {
        response.destroy();
        if (ConnectError.from(error).code === Code.Aborted) return;
        this.#logger.debug({ err: error, url: request.url }, "call was cut");
      });
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

/** An answer of one message goes out at once: its client waits for the status, which comes last. */
async function sendWhole(answer: Answer, response: http.ServerResponse): Promise<void> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of answer.body ?? []) chunks.push(chunk);
  response.writeHead(answer.status, Object.fromEntries(answer.header ?? []));
  response.addTrailers(Object.fromEntries(answer.trailer ?? []));
  response.end(Buffer.concat(chunks));
}

/** Any caught value as what handlers throw. */
export function toConnectError(caught: unknown): ConnectError {
  const failure = toWireFailure(caught);
  const error = new ConnectError(failure.message, failure.code, undefined, undefined, caught);
  error.details = failure.failureDetails.map(({ typeUrl, value }) => ({
    type: typeUrl,
    value: new Uint8Array(value),
  }));
  return error;
}

const detailsKey = "grpc-status-details-bin";

/** The prefix that connect puts before every type; ours are whole URLs. */
const connectPrefix = "type.googleapis.com/";

function withDetails(answer: Answer): Answer {
  const { trailer } = answer;
  if (trailer === undefined) return answer;
  return {
    ...answer,
    // Read when the body has ended, which is when the status is known.
    get trailer() {
      const encoded = trailer.get(detailsKey);
      if (encoded !== null) trailer.set(detailsKey, withPlainUrls(encoded));
      return trailer;
    },
  };
}

function withPlainUrls(encoded: string): string {
  const status = fromBinary(StatusSchema, Buffer.from(encoded, "base64"));
  for (const detail of status.details) {
    if (detail.typeUrl.startsWith(connectPrefix)) {
      detail.typeUrl = detail.typeUrl.slice(connectPrefix.length);
    }
  }
  return Buffer.from(toBinary(StatusSchema, status)).toString("base64").replace(/=+$/, "");
}
