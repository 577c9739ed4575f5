/** From a request to its handler, and from what the handler throws to an answer. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { invalidArgument } from "@gantry/errors";
import type { Logger } from "@gantry/logging";
import type { Backends } from "../backends.ts";
import type { AccessLog } from "./access-log.ts";
import { ApiCall, type Takeover } from "./api-call.ts";
import { ApiRequest } from "./api-request.ts";
import { BodyTooLargeError } from "./decode/body.ts";
import { type ErrorAnswer, errorAnswer, messageBody } from "./error-answer.ts";
import { commonHeaders, plainVersionHeaders, versionHeaders } from "./headers.ts";
import { discardRest } from "./lingering.ts";
import { writeRawError } from "./raw-answer.ts";
import { takenBody } from "./raw-body.ts";
import type { Route } from "./route.ts";
import { Router } from "./router.ts";
import { findTarget, type Target } from "./target.ts";
import { negotiate, wantsPlainErrors } from "./version.ts";

/** Options of a Dispatcher. */
export interface DispatcherOptions {
  readonly routes: readonly Route[];
  readonly backends: Backends;
  readonly logger: Logger;
  readonly accessLog: AccessLog;
}

/** Docker's API over one route table. */
export class Dispatcher {
  readonly #router: Router;
  readonly #options: DispatcherOptions;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#router = new Router(options.routes);
  }

  /** Whether a request's socket goes to its handler. */
  takesSocket(request: IncomingMessage): boolean {
    const { match } = this.#target(request);
    if (request instanceof ApiRequest && request.lacksUpgrade) return false;
    return match.kind === "route" && match.route.hijacks;
  }

  /** Answers a plain request. */
  answer(request: IncomingMessage, response: ServerResponse, expectsContinue = false): void {
    const target = this.#target(request);
    this.#options.accessLog.request(request, response);
    const fail = (answer: ErrorAnswer, headers: readonly string[]): void => {
      sendError(request, response, answer, headers);
    };
    this.#run(target, { request, response, takeover: undefined, expectsContinue }, fail);
  }

  /** Answers a request whose handler takes the socket over. */
  takeOver(request: IncomingMessage, socket: Duplex): void {
    const target = this.#target(request);
    this.#options.accessLog.takeover(request, socket);
    const upgrade = request instanceof ApiRequest && request.wantsUpgrade;
    const takeover: Takeover = { socket, upgrade };
    socket.on("error", () => undefined);
    this.#run(
      target,
      { request, response: undefined, takeover, expectsContinue: false },
      (answer, headers) => {
        writeRawError(socket, answer, headers);
      },
    );
  }

  #target(request: IncomingMessage): Target {
    const find = (): Target =>
      findTarget(this.#router, request.method ?? "GET", request.url ?? "/");
    return request instanceof ApiRequest ? (request.target ??= find()) : find();
  }

  #run(target: Target, edge: Edge, fail: Fail): void {
    const { match } = target;
    if (target.problem !== undefined) {
      fail(errorAnswer(target.problem), commonHeaders);
      return;
    }
    if (match.kind === "redirect") {
      redirect(edge, target, match.location);
      return;
    }
    if (match.kind === "none") {
      fail(notFoundAnswer, []);
      return;
    }
    const version = this.#version(target, match.route, fail);
    if (version === undefined) return;
    const call = new ApiCall({
      ...edge,
      params: match.params,
      query: target.query,
      version,
      backends: this.#options.backends,
      logger: this.#options.logger,
    });
    Promise.try(match.route.handler, call).catch((error: unknown) => {
      this.#fail(error, edge, fail);
    });
  }

  /** The version to answer in; undefined when it was refused. */
  #version({ versionText }: Target, route: Route, fail: Fail): number | undefined {
    try {
      const version = negotiate(versionText);
      if (version >= route.sinceMinor) return version;
      const needed = `1.${String(route.sinceMinor)}`;
      throw invalidArgument(`${route.method} ${route.path} requires minimum API version ${needed}`);
    } catch (error) {
      const plain = versionText !== undefined && wantsPlainErrors(versionText);
      fail(errorAnswer(error, plain), plain ? plainVersionHeaders : versionHeaders);
      return undefined;
    }
  }

  #fail(caught: unknown, { request, response, takeover }: Edge, fail: Fail): void {
    const answer = errorAnswer(caught);
    const { kind } = answer.error;
    if (kind === "internal" || kind === "data_loss") {
      this.#options.logger.error({ err: caught, url: request.url }, "request failed");
    }
    const started = response?.headersSent ?? takeover?.socket.writableEnded ?? false;
    if (!started) {
      fail(answer, commonHeaders);
      return;
    }
    // The head is out: the only honest end of a cut answer is a cut connection.
    this.#options.logger.debug({ err: caught, url: request.url }, "answer was cut");
    (response ?? takeover?.socket)?.destroy();
  }
}

interface Edge {
  readonly request: IncomingMessage;
  readonly response: ServerResponse | undefined;
  readonly takeover: Takeover | undefined;
  readonly expectsContinue: boolean;
}

type Fail = (answer: ErrorAnswer, headers: readonly string[]) => void;

const notFoundAnswer: ErrorAnswer = {
  ...errorAnswer(invalidArgument("page not found")),
  status: 404,
  body: messageBody("page not found"),
};

function redirect({ request, response, takeover }: Edge, target: Target, path: string): void {
  const version = target.versionText === undefined ? "" : `/v${target.versionText}`;
  const query = /\?.*$/s.exec(request.url ?? "")?.[0] ?? "";
  const location = `${version}${path}${query}`;
  if (response !== undefined) {
    response.writeHead(301, ["Location", location, "Content-Length", "0"]);
    response.end();
  } else {
    takeover?.socket.end(
      `HTTP/1.1 301 Moved Permanently\r\nLocation: ${location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
    );
  }
}

function sendError(
  request: IncomingMessage,
  response: ServerResponse,
  { status, body, contentType, error }: ErrorAnswer,
  headers: readonly string[],
): void {
  if (body === undefined) {
    response.writeHead(status, [...headers]);
    response.end();
    return;
  }
  const length = String(Buffer.byteLength(body));
  const unread = error instanceof BodyTooLargeError || takenBody(request) !== undefined;
  const cut = unread && request.httpVersionMajor === 1;
  const close = cut ? ["Connection", "close"] : [];
  response.writeHead(status, [
    ...headers,
    "Content-Type",
    contentType,
    "Content-Length",
    length,
    ...close,
  ]);
  const text = request.method === "HEAD" ? "" : body;
  if (cut) {
    response.write(text);
    discardRest(request, response);
  } else {
    response.end(text);
  }
}
