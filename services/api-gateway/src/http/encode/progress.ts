/** Docker's progress stream: JSON objects separated by CRLF. */
import type { EngineError } from "@gantry/errors";
import type { BuildError } from "@gantry/proto/build";
import type { ProgressMessage } from "@gantry/proto/image";
import { type JsonOut, toHtmlSafeJson, unlessEmpty } from "./json.ts";

/** One message with its separator. */
export function encodeProgress(message: ProgressMessage): string {
  const detail = progressDetail(message);
  const fields: JsonOut = {
    stream: unlessEmpty(message.stream),
    status: unlessEmpty(message.status),
    progressDetail: detail,
    progress: detail === undefined ? undefined : unlessEmpty(progressBar(message)),
    id: unlessEmpty(message.id),
  };
  const text = toHtmlSafeJson(fields);
  if (message.auxJson === "") return `${text}\r\n`;
  const separator = text === "{}" ? "" : ",";
  return `${text.slice(0, -1)}${separator}"aux":${message.auxJson}}\r\n`;
}

/**
 * The last object of a stream that failed. Without a code: the CLI replaces the text of a 401 by its own,
 * and takes other codes for the exit code of a build.
 */
export function encodeProgressError({ message }: EngineError): string {
  return `${toHtmlSafeJson({ errorDetail: { message }, error: message })}\r\n`;
}

/** The last object of a build that failed. The code, that of a RUN, becomes the CLI's own. */
export function encodeBuildError({ message, code }: Pick<BuildError, "message" | "code">): string {
  const errorDetail = { code: code === 0 ? undefined : code, message };
  return `${toHtmlSafeJson({ errorDetail, error: message })}\r\n`;
}

function progressDetail(message: ProgressMessage): JsonOut {
  const { current, total, units } = message;
  if (current === 0n && total === 0n) return message.hasProgressDetail ? {} : undefined;
  return {
    current: current === 0n ? undefined : current,
    total: total === 0n ? undefined : total,
    units: unlessEmpty(units),
  };
}

/** The bar that clients before 29 print as it is. */
function progressBar({ current, total, units }: ProgressMessage): string {
  if (current === 0n && total === 0n) return "";
  if (units !== "")
    return total === 0n
      ? `${String(current)} ${units}`
      : `${String(current)}/${String(total)} ${units}`;
  const done = humanSize(Number(current));
  if (total <= 0n || current > total) return done.padStart(8);
  const half = Math.trunc(Number((current * 50n) / total));
  const bar = half === 50 ? "=".repeat(50) : `${"=".repeat(half)}>${" ".repeat(49 - half)}`;
  return `[${bar}]  ${done}/${humanSize(Number(total))}`;
}

/** Decimal units, four significant digits. */
function humanSize(bytes: number): string {
  const words = ["B", "kB", "MB", "GB", "TB", "PB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < words.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${String(Number(value.toPrecision(4)))}${words[unit] ?? ""}`;
}
