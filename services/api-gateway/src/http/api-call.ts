/** One call of the Docker API on its way through a handler. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { EngineError, invalidArgument } from "@gantry/errors";
import type { Logger } from "@gantry/logging";
import type { Backends } from "../backends.ts";
import { readJsonObject, readJsonValue } from "./decode/body.ts";
import { Fields, kindOf } from "./decode/fields.ts";
import type { JsonValue } from "./decode/json-value.ts";
import { type JsonOut, toJson } from "./encode/json.ts";
import { commonHeaders } from "./headers.ts";
import type { Query } from "./query.ts";

/** Why signals abort. One for all: an error for each costs more than most answers. */
const clientGone = new EngineError("canceled", "the client has gone");

/** The socket of a call that takes it over: raw bytes both ways from here on. */
export interface Takeover {
  readonly socket: Duplex;
  /** The client asked for an upgrade: the answer is 101, else 200. */
  readonly upgrade: boolean;
}

/** What makes a call. */
export interface ApiCallInit {
  readonly request: IncomingMessage;
  /** Absent when the handler takes the socket over. */
  readonly response: ServerResponse | undefined;
  readonly takeover: Takeover | undefined;
  readonly params: readonly string[];
  readonly query: Query;
  /** Minor part of the version that was asked for. */
  readonly version: number;
  readonly backends: Backends;
  readonly logger: Logger;
  /** The client waits for `100 Continue` before it sends the body. */
  readonly expectsContinue: boolean;
}

/** A call: what was asked, and ways to answer. */
export class ApiCall {
  readonly request: IncomingMessage;
  readonly query: Query;
  readonly version: number;
  readonly backends: Backends;
  readonly logger: Logger;
  readonly #init: ApiCallInit;
  #abort: AbortController | undefined;
  #continued = false;

  constructor(init: ApiCallInit) {
    this.#init = init;
    this.request = init.request;
    this.query = init.query;
    this.version = init.version;
    this.backends = init.backends;
    this.logger = init.logger;
  }

  /** First name in the path. */
  get name(): string {
    return this.#init.params[0] ?? "";
  }

  /** Second name in the path. */
  get secondName(): string {
    return this.#init.params[1] ?? "";
  }

  /** `1.50`, for services whose rules depend on it. */
  get apiVersion(): string {
    return `1.${String(this.version)}`;
  }

  get response(): ServerResponse {
    const { response } = this.#init;
    if (response === undefined) throw new EngineError("internal", "this call has only a socket");
    return response;
  }

  get takeover(): Takeover {
    const { takeover } = this.#init;
    if (takeover === undefined) throw new EngineError("internal", "this call has no socket");
    return takeover;
  }

  /** Aborts when the client goes away before the answer is complete; of a takeover, before our end of it. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      const abort = new AbortController();
      this.#abort = abort;
      const output = this.#init.takeover?.socket ?? this.response;
      if (output.destroyed) abort.abort(clientGone);
      else {
        output.once("close", () => {
          // After a whole answer there is nothing left to cancel.
          if (!output.writableFinished) abort.abort(clientGone);
        });
      }
    }
    return this.#abort.signal;
  }

  /** A request header, or the empty string. */
  header(name: string): string {
    const value = this.request.headers[name];
    return Array.isArray(value) ? value.join(", ") : (value ?? "");
  }

  /** Tells a client that waits for it to send its body. To be called right before the body is read. */
  continueBody(): void {
    if (!this.#init.expectsContinue || this.#continued) return;
    this.#continued = true;
    this.#init.response?.writeContinue();
  }

  /** The JSON body; an object without fields when there is none. */
  /** @param goType Docker's name of what it is, for its complaints */
  async jsonBody(goType = ""): Promise<Fields> {
    const fields = await readJsonObject(
      this.request,
      () => {
        this.continueBody();
      },
      goType,
    );
    return fields ?? new Fields(new Map());
  }

  /** The JSON body; undefined when there is none. */
  async optionalJsonBody(): Promise<Fields | undefined> {
    return await readJsonObject(this.request, () => {
      this.continueBody();
    });
  }

  /**
   * Reads a JSON body that is looked at no further than this.
   * @param goType the name in Docker's complaint about another shape
   */
  async checkJson(shape: "array" | "object", goType: string): Promise<JsonValue> {
    const value = await readJsonValue(this.request, () => {
      this.continueBody();
    });
    if (value === null || kindOf(value) === shape) return value;
    const found = kindOf(value).replace(/ .*/, "").replace("boolean", "bool");
    throw invalidArgument(
      `invalid JSON: json: cannot unmarshal ${found} into Go value of type ${goType}`,
    );
  }

  /** Answers with JSON. */
  json(value: JsonOut, status = 200): void {
    this.bytes(`${toJson(value)}\n`, "application/json", status);
  }

  /** Answers with a JSON list whose items are encoded already. */
  jsonList(items: readonly string[]): void {
    this.bytes(`[${items.join(",")}]\n`, "application/json");
  }

  /** Answers with a text whose encoding is done. */
  bytes(body: string, contentType: string, status = 200): void {
    const length = Buffer.byteLength(body);
    this.response.writeHead(status, [
      ...commonHeaders,
      "Content-Type",
      contentType,
      "Content-Length",
      String(length),
    ]);
    this.response.end(this.request.method === "HEAD" ? undefined : body);
  }

  /** Answers without body. */
  empty(status = 204): void {
    const length = status === 204 || status === 304 ? [] : ["Content-Length", "0"];
    this.response.writeHead(status, [...commonHeaders, ...length]);
    this.response.end();
  }

  /**
   * Sends the head of a long answer at once. The body has no length: chunked.
   * @param contentType empty: none is sent.
   */
  startStream(contentType: string, more: readonly string[] = []): ServerResponse {
    const type = contentType === "" ? [] : ["Content-Type", contentType];
    this.response.writeHead(200, [...commonHeaders, ...type, ...more]);
    this.response.flushHeaders();
    return this.response;
  }
}
