/** Words for failed connections, as Docker's clients know them. */

import { canceled, EngineError, internal } from "@gantry/errors";
import { plainText } from "../../domain/foreign-text.ts";

/** The error of a request that got no answer. @param called what it calls the URL */
export function connectionError(
  method: string,
  url: URL,
  error: unknown,
  called = shown(url),
): EngineError {
  if (error instanceof EngineError) return error;
  if (error instanceof Error && error.name === "AbortError") {
    return canceled("the request was canceled", { cause: error });
  }
  return internal(`${goVerb(method)} "${called}": ${reasonOf(authorityOf(called), error)}`, {
    cause: error,
  });
}

/** `Get` of `GET`, as Go's client writes it. */
export function goVerb(method: string): string {
  return method.charAt(0) + method.slice(1).toLowerCase();
}

/** Without anything secret: signed URLs carry credentials in their query, odd ones before the host. */
export function shown(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}`;
}

/** The user's own URL as it was written: with its query, but no password. */
export function shownAsWritten(text: string, url: URL): string {
  const authority = authorityOf(text);
  const path = url.pathname === "/" && text.endsWith(authority) ? "" : url.pathname;
  const user = url.password === "" ? url.username : `${url.username}:***`;
  const at = user === "" ? "" : `${user}@`;
  return `${url.protocol}//${at}${authority}${path}${url.search}${url.hash}`;
}

/** Host and port of a URL's text. A URL object has no capitals in them any more. */
function authorityOf(text: string): string {
  return /^[^:/]+:\/\/(?:[^@/?#]*@)?([^/?#]*)/.exec(text)?.[1] ?? "";
}

function reasonOf(authority: string, error: unknown): string {
  const code = codeOf(error);
  const message = error instanceof Error ? error.message : String(error);
  const address = addressOf(error) ?? authority;
  switch (code) {
    case "ENOTFOUND":
    case "EAI_AGAIN":
    case "EAI_NODATA":
      return `dial tcp: lookup ${authority.replace(/:\d+$/, "")}: no such host`;
    case "ECONNREFUSED":
      return `dial tcp ${address}: connect: connection refused`;
    case "EHOSTUNREACH":
      return `dial tcp ${address}: connect: no route to host`;
    case "ENETUNREACH":
      return `dial tcp ${address}: connect: network is unreachable`;
    case "ETIMEDOUT":
      return `dial tcp ${address}: i/o timeout`;
    case "ECONNRESET":
    case "EPIPE":
      return "EOF";
    case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
    case "SELF_SIGNED_CERT_IN_CHAIN":
    case "DEPTH_ZERO_SELF_SIGNED_CERT":
    case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
      return "tls: failed to verify certificate: x509: certificate signed by unknown authority";
    case "CERT_HAS_EXPIRED":
      return "tls: failed to verify certificate: x509: certificate has expired or is not yet valid";
    case "EPROTO":
      return "http: server gave HTTP response to HTTPS client";
    default:
      return plainText(message);
  }
}

/** Node's code of an error, of the first one where several addresses were tried. */
function codeOf(error: unknown): string {
  if (error instanceof AggregateError) return codeOf(error.errors[0]);
  return error instanceof Error && "code" in error && typeof error.code === "string"
    ? error.code
    : "";
}

function addressOf(error: unknown): string | undefined {
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error;
  if (!(first instanceof Error) || !("address" in first) || !("port" in first)) return undefined;
  const [address, port] = [String(first.address), String(first.port)];
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Whether the other side does not speak TLS, or not ours: plain HTTP may be tried where that is allowed. */
export function isTlsFailure(error: unknown): boolean {
  const cause = error instanceof EngineError ? error.cause : error;
  const code = codeOf(cause);
  return code === "EPROTO" || code.startsWith("ERR_SSL") || code === "ECONNRESET";
}
