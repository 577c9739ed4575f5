/** What a row of a route table says. */
import type { ApiCall } from "./api-call.ts";

/** Methods that the API uses. */
export type Method = "GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "OPTIONS";

/** Answers one call. What it throws becomes the error answer, as long as no head was sent. */
export type Handler = (call: ApiCall) => Promise<void> | void;

/** How much of a route there is: the word in docs/scope.md. */
export type Scope = "works" | "partly" | "not yet";

/** One row. */
export interface Route {
  readonly method: Method;
  /** Template: `{name}` stands for one or more characters, slashes included. */
  readonly path: string;
  readonly handler: Handler;
  readonly scope: Scope;
  /** Older versions are refused. Minor part. */
  readonly sinceMinor: number;
  /** The handler takes over the socket: it gets the call before the body is parsed as HTTP. */
  readonly hijacks: boolean;
}

/** Options of a row; the defaults are what most rows have. */
export interface RowOptions {
  readonly since?: number;
  readonly scope?: Scope;
  readonly hijacks?: boolean;
}

function row(method: Method) {
  return (path: string, handler: Handler, options: RowOptions = {}): Route => ({
    method,
    path,
    handler,
    scope: options.scope ?? "works",
    sinceMinor: options.since ?? 0,
    hijacks: options.hijacks ?? false,
  });
}

export type { ApiCall };
export const get = row("GET");
export const head = row("HEAD");
export const post = row("POST");
export const put = row("PUT");
export const del = row("DELETE");
export const options = row("OPTIONS");
