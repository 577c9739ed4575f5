/** Answers on a socket that has left the HTTP parser. */
import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import type { ErrorAnswer } from "./error-answer.ts";
import { commonHeaders } from "./headers.ts";

/** Media types of hijacked streams. */
export const rawStream = "application/vnd.docker.raw-stream";
export const multiplexedStream = "application/vnd.docker.multiplexed-stream";

/** What a request gets that cannot be parsed: Go's words. */
export const badRequest = refusal("400 Bad Request");

/** A whole answer whose text is its status; the connection ends with it. */
export function refusal(status: string): string {
  return `HTTP/1.1 ${status}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n${status}`;
}

/** Writes a whole error answer and ends the connection. */
export function writeRawError(
  socket: Duplex,
  { status, body, contentType }: ErrorAnswer,
  headers: readonly string[],
): void {
  const type = body === undefined ? [] : ["Content-Type", contentType];
  const length = ["Content-Length", String(Buffer.byteLength(body ?? ""))];
  socket.end(
    `${head(status, [...headers, ...type, ...length, "Connection", "close"])}${body ?? ""}`,
  );
}

/** Writes an empty 200 and ends the connection. */
export function writeRawEmpty(socket: Duplex): void {
  socket.end(head(200, [...commonHeaders, "Content-Length", "0", "Connection", "close"]));
}

/**
 * Attach answers its errors as text without Docker's usual headers; clients know them so.
 */
export function writeRawText(socket: Duplex, status: number, text: string): void {
  socket.end(
    `HTTP/1.1 ${String(status)} ${STATUS_CODES[status] ?? ""}\r\nContent-Type: ${rawStream}\r\n\r\n${text}\r\n`,
  );
}

/** The head that begins a hijacked stream. Resolves when the kernel has it. */
export function writeTakeoverHead(
  socket: Duplex,
  options: {
    readonly upgrade: boolean;
    readonly contentType: string;
    readonly headers: readonly string[];
  },
): Promise<void> {
  const { upgrade, contentType, headers } = options;
  const text = upgrade
    ? headWith("101 UPGRADED", [
        ...["Content-Type", contentType, "Connection", "Upgrade", "Upgrade", "tcp"],
        ...headers,
      ])
    : headWith("200 OK", ["Content-Type", rawStream, ...headers]);
  return new Promise((resolve) => {
    // An error here closes the socket, which is what everybody listens to.
    socket.write(text, () => {
      resolve();
    });
  });
}

function head(status: number, headers: readonly string[]): string {
  return headWith(`${String(status)} ${STATUS_CODES[status] ?? ""}`, headers);
}

function headWith(statusLine: string, headers: readonly string[]): string {
  let text = `HTTP/1.1 ${statusLine}\r\n`;
  for (let i = 0; i < headers.length; i += 2) {
    text += `${headers[i] ?? ""}: ${headers[i + 1] ?? ""}\r\n`;
  }
  return `${text}\r\n`;
}
