/** Errors of registries: kinds by status and code, texts bounded and without control characters. */
import { EngineError, type ErrorKind } from "@gantry/errors";
import { plainText } from "../../domain/foreign-text.ts";
import type { HttpResponse } from "./http-client.ts";

/** Most that is read of an error's body. */
export const maxErrorBytes = 64 * 1024;

/** An answer that is no success. `code` is the registry's own word, for example `MANIFEST_UNKNOWN`. */
export class RegistryError extends EngineError {
  override readonly name = "RegistryError";
  readonly status: number;
  readonly code: string;

  constructor(kind: ErrorKind, message: string, status: number, code: string) {
    super(kind, message);
    this.status = status;
    this.code = code;
  }
}

const kindsByStatus: ReadonlyMap<number, ErrorKind> = new Map([
  [400, "invalid_argument"],
  [401, "unauthenticated"],
  [403, "permission_denied"],
  [404, "not_found"],
  [405, "not_implemented"],
  [429, "resource_exhausted"],
  [503, "unavailable"],
]);

/** @param words replacements of what a bare status would say */
export function registryError(
  response: Pick<HttpResponse, "status">,
  body: Buffer,
  words: { readonly unauthorized?: string } = {},
): RegistryError {
  const { status } = response;
  const kind = kindsByStatus.get(status) ?? "internal";
  const [first] = readErrors(body);
  if (first !== undefined) {
    return new RegistryError(kind, describe(first), status, first.code);
  }
  const text =
    status === 401 && words.unauthorized !== undefined
      ? words.unauthorized
      : `received unexpected HTTP status: ${status}${statusText(status)}`;
  return new RegistryError(kind, text, status, "");
}

function statusText(status: number): string {
  const texts: Readonly<Record<number, string>> = {
    401: " Unauthorized",
    403: " Forbidden",
    404: " Not Found",
    429: " Too Many Requests",
    500: " Internal Server Error",
    502: " Bad Gateway",
    503: " Service Unavailable",
    504: " Gateway Timeout",
  };
  return texts[status] ?? "";
}

interface ErrorItem {
  readonly code: string;
  readonly message: string;
}

function readErrors(body: Buffer): ErrorItem[] {
  let value: unknown;
  try {
    value = JSON.parse(body.toString("utf8"));
  } catch {
    // A proxy's page: the status says all.
    return [];
  }
  const errors = (value as { errors?: unknown } | null)?.errors;
  if (!Array.isArray(errors)) return [];
  return errors.slice(0, 8).flatMap((each: unknown) => {
    const item = each as Partial<Record<string, unknown>> | null;
    const code = typeof item?.["code"] === "string" ? plainText(item["code"]) : "";
    const message = typeof item?.["message"] === "string" ? plainText(item["message"]) : "";
    return code === "" && message === "" ? [] : [{ code, message }];
  });
}

/** `manifest unknown: manifest unknown`, as Docker's registry client puts it. */
function describe({ code, message }: ErrorItem): string {
  const words = code.toLowerCase().replaceAll("_", " ");
  return message === "" ? words : `${words}: ${message}`;
}
