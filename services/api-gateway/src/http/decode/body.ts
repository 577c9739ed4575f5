/** Reads JSON bodies, bounded while they come. */
import type { IncomingMessage } from "node:http";
import { EngineError, invalidArgument, toEngineError } from "@gantry/errors";
import { Fields } from "./fields.ts";
import { goKind, type JsonValue, parseJson } from "./json-value.ts";

/** Longest JSON body. */
export const maxJsonBytes = 4 * 1024 * 1024;

/** The body was not read to its end: the connection can't be used again. */
export class BodyTooLargeError extends EngineError {
  constructor(limitBytes: number) {
    super("invalid_argument", `request body is larger than ${String(limitBytes)} bytes`);
  }
}

/** The error where a body must be, and none is. */
export function bodyMissing(): EngineError {
  return invalidArgument("invalid JSON: got EOF while reading request body");
}

/** Whether the request says that it has a body. */
export function hasBody(request: IncomingMessage): boolean {
  const { "content-length": length, "transfer-encoding": encoding } = request.headers;
  if (encoding !== undefined) return true;
  if (length !== undefined) return length !== "0";
  return request.httpVersionMajor >= 2 && !request.complete;
}

/**
 * The body as an object with Docker's rules: `application/json` unless empty, one value, nothing
 * behind it. Undefined for an empty body or null.
 * @param beforeRead called before the first byte is asked for (100-continue).
 * @param goType Docker's name of what the body is, for its complaints; empty: in our own words
 */
export async function readJsonObject(
  request: IncomingMessage,
  beforeRead: () => void = () => undefined,
  goType = "",
): Promise<Fields | undefined> {
  const value = await readJsonValue(request, beforeRead);
  return value === null ? undefined : asFields(value, goType);
}

/** As {@link readJsonObject}, for bodies of any shape; null for an empty one. */
export async function readJsonValue(
  request: IncomingMessage,
  beforeRead: () => void,
): Promise<JsonValue> {
  if (!hasBody(request)) return null;
  checkContentType(request.headers["content-type"]);
  beforeRead();
  return parseBody(await readText(request, maxJsonBytes));
}

/** A body is a stream to Docker, whose end has a word of its own. */
function parseBody(text: string): JsonValue {
  if (/^[ \t\n\r]*$/.test(text)) throw bodyMissing();
  try {
    return parseJson(text, { stream: true });
  } catch (error) {
    const { message } = toEngineError(error);
    if (message !== "invalid JSON: unexpected end of JSON input") throw error;
    throw invalidArgument("invalid JSON: unexpected EOF", { cause: error });
  }
}

function asFields(value: JsonValue, goType: string): Fields {
  if (value instanceof Map) return new Fields(value, "", goType.replace(/^.*\./, ""));
  throw invalidArgument(
    goType === ""
      ? "invalid JSON: expected an object"
      : `invalid JSON: json: cannot unmarshal ${goKind(value)} into Go value of type ${goType}`,
  );
}

function checkContentType(header: string | undefined): void {
  const type = (header ?? "").split(";", 1)[0]?.trim().toLowerCase();
  if (type === "application/json") return;
  throw invalidArgument(
    `unsupported Content-Type header (${header ?? ""}): must be 'application/json'`,
  );
}

/** Reads a whole body as text. Throws BodyTooLargeError as soon as the limit is passed. */
export async function readText(request: IncomingMessage, limitBytes: number): Promise<string> {
  const length = Number(request.headers["content-length"] ?? 0);
  if (length > limitBytes) throw new BodyTooLargeError(limitBytes);
  const body = await readAll(request, limitBytes);
  if (!request.complete && request.httpVersionMajor < 2) {
    throw invalidArgument("invalid JSON: unexpected EOF");
  }
  if (body.length === 0) throw bodyMissing();
  return body.toString();
}

/** By events: an iterator costs as much as all else of a small request's decoding. */
function readAll(request: IncomingMessage, limitBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const leave = (): void => {
      request.off("data", onData).off("end", onEnd).off("error", fail).off("close", onClose);
    };
    const fail = (error: Error): void => {
      leave();
      // What is left of the body is its next reader's.
      request.pause();
      reject(error);
    };
    const onData = (chunk: Buffer): void => {
      size += chunk.length;
      chunks.push(chunk);
      if (size > limitBytes) fail(new BodyTooLargeError(limitBytes));
    };
    const onEnd = (): void => {
      leave();
      const [only] = chunks;
      resolve(only !== undefined && chunks.length === 1 ? only : Buffer.concat(chunks, size));
    };
    const onClose = (): void => {
      fail(invalidArgument("invalid JSON: unexpected EOF"));
    };
    request.on("data", onData).on("end", onEnd).on("error", fail).on("close", onClose);
  });
}
