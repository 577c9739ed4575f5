import pino from "pino";
import { type LineWriter, openLineWriter } from "./line-writer.ts";

/** Fields of a log line, beside the message. */
export type LogFields = Readonly<Record<string, unknown>>;

/** What a line may be called. Off by default below `info`. */
export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "fatal";

/**
 * Structured logging: one JSON object a line. Messages are lower-case words without values; values
 * are fields, and an error goes into the field `err`.
 */
export interface Logger {
  trace(fields: LogFields, message: string): void;
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  fatal(fields: LogFields, message: string): void;
  /** A logger whose lines carry these fields too. */
  child(fields: LogFields): Logger;
  /** Changes the level of this logger and of children made later. */
  setLevel(level: LogLevel): void;
}

/** Options of createLogger. */
export interface LoggerOptions {
  /** The field `service` of each line, for example `container-service`. */
  readonly service: string;
  /** Default `info`. */
  readonly level?: LogLevel;
  /** Where lines go. Default: standard error, which may be a file on a disk that is full or does not answer. */
  readonly write?: (line: string) => void;
}

/** Fields that may hold credentials, at the top and one level down. */
const secretFields = [
  "password",
  "auth",
  "authorization",
  "token",
  "identitytoken",
  "identityToken",
  "registryToken",
  "registrytoken",
  "refreshToken",
  "accessToken",
  "secret",
  "credentials",
  "xRegistryAuth",
  "ticket",
];

const redactPaths = secretFields.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]);

/** Opens the log of one process. */
export function createLogger(options: LoggerOptions): Logger {
  const destination = options.write === undefined ? standardError() : { write: options.write };
  const root = pino(
    {
      level: options.level ?? "info",
      base: { service: options.service, pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: pino.stdSerializers.errWithCause },
      redact: { paths: redactPaths, censor: "[redacted]" },
    },
    destination,
  );
  return wrap(root);
}

let shared: LineWriter | undefined;

/** One for the process, so that the end of it writes what waits. */
function standardError(): LineWriter {
  if (shared !== undefined) return shared;
  const writer = openLineWriter(2);
  process.once("exit", () => {
    writer.flush();
  });
  shared = writer;
  return writer;
}

/** Logs what nobody has handled, a rejection too, before Node ends the process for it. */
export function logFatalErrors(logger: Logger): void {
  process.on("uncaughtExceptionMonitor", (error: unknown) => {
    logger.fatal({ err: error }, "process ends for an error");
  });
}

/** A logger that drops everything: for tests and library defaults. */
export function silentLogger(): Logger {
  return wrap(pino({ level: "silent" }, { write: () => undefined }));
}

function wrap(inner: pino.Logger): Logger {
  return {
    trace: (fields, message) => {
      inner.trace(fields, message);
    },
    debug: (fields, message) => {
      inner.debug(fields, message);
    },
    info: (fields, message) => {
      inner.info(fields, message);
    },
    warn: (fields, message) => {
      inner.warn(fields, message);
    },
    error: (fields, message) => {
      inner.error(fields, message);
    },
    fatal: (fields, message) => {
      inner.fatal(fields, message);
    },
    child: (fields) => wrap(inner.child(fields)),
    setLevel: (level) => {
      inner.level = level;
    },
  };
}
