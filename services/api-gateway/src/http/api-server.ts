/** The HTTP/1.1 server: Node's, with Docker's habits and our limits. It never listens: sockets are given to it. */
import http from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { ApiRequest } from "./api-request.ts";
import type { Dispatcher } from "./dispatcher.ts";
import { refusal } from "./raw-answer.ts";

/** Limits of one connection. */
const httpLimits = {
  /** Request line and headers: registry credentials and filters live there. */
  maxHeaderBytes: 128 * 1024,
  /** Header lines. */
  maxHeaders: 500,
  /** Time for the whole head of a request. */
  headersTimeoutMs: 30_000,
};

/** Requests to other handlers than Docker's API, by path. */
export interface SideDoor {
  /** Whether a path belongs to it. */
  takes(url: string): boolean;
  answer(request: http.IncomingMessage, response: http.ServerResponse): void;
}

/** Makes the server. */
export function createApiServer(dispatcher: Dispatcher, sideDoor: SideDoor): http.Server {
  const server = http.createServer({
    IncomingMessage: ApiRequest,
    maxHeaderSize: httpLimits.maxHeaderBytes,
    headersTimeout: httpLimits.headersTimeoutMs,
    // Uploads take as long as they take; idle connections are the client's to keep.
    requestTimeout: 0,
    keepAliveTimeout: 0,
    shouldUpgradeCallback: (request) => dispatcher.takesSocket(request),
  });
  server.maxHeadersCount = httpLimits.maxHeaders;
  const answer = (expectsContinue: boolean): http.RequestListener => {
    return (request, response) => {
      if (sideDoor.takes(request.url ?? "")) {
        if (expectsContinue) response.writeContinue();
        sideDoor.answer(request, response);
      } else dispatcher.answer(request, response, expectsContinue);
    };
  };
  server.on("request", answer(false));
  server.on("checkContinue", answer(true));
  server.on("upgrade", (request, socket, head) => {
    if (head.length > 0) socket.unshift(head);
    dispatcher.takeOver(request, socket);
  });
  server.on("connect", (_request, socket) => {
    socket.end("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  });
  server.on("clientError", answerClientError);
  return server;
}

/** What can't be parsed gets Go's words, and the connection ends: nobody knows where the next request begins. */
function answerClientError(error: NodeJS.ErrnoException, socket: Duplex): void {
  const { bytesWritten, _httpMessage } = socket as Socket & { _httpMessage?: http.ServerResponse };
  // In the middle of an answer there is nothing to say that could be understood.
  if (!socket.writable || (bytesWritten > 0 && _httpMessage?.headersSent === true)) {
    socket.destroy();
    return;
  }
  const status =
    error.code === "HPE_HEADER_OVERFLOW"
      ? "431 Request Header Fields Too Large"
      : error.code === "ERR_HTTP_REQUEST_TIMEOUT"
        ? "408 Request Timeout"
        : "400 Bad Request";
  socket.end(refusal(status));
}
