/** Logs: a ticket for a stream of records, filtered and framed as Docker does. */
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { conflict, invalidArgument, notImplemented } from "@gantry/errors";
import type { DataListener } from "@gantry/rpc";
import { isLive, isRunning } from "../domain/container-state.ts";
import { frame, type LogRecord, parseLogLine, showRecord } from "../domain/log-record.ts";
import type { LogLine, OpenedLog } from "../ports/logs.ts";
import type { StreamEndpoint } from "./attach-container.ts";
import type { App } from "./context.ts";
import type { Entry } from "./entry.ts";

/** Which records, and how they look. */
export interface LogOptions {
  readonly follow: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Nanoseconds since the epoch, 0 = all. */
  readonly sinceNano: bigint;
  /** Nanoseconds since the epoch, 0 = all. */
  readonly untilNano: bigint;
  readonly timestamps: boolean;
  readonly details: boolean;
  /** The last so many; undefined or negative = all. */
  readonly tail: number | undefined;
}

/**
 * The log is open when this resolves: whoever has the ticket reads it to its end, also when the container is removed
 * before they come. Errors: not_found, invalid_argument (no stream), not_implemented (driver), conflict (dead,
 * removing).
 */
export async function openLogs(
  app: App,
  data: DataListener,
  reference: string,
  options: LogOptions,
): Promise<{ readonly endpoint: StreamEndpoint; readonly tty: boolean }> {
  const entry = app.registry.find(reference);
  refuseLogs(entry, options);
  const { tty } = entry.record.config;
  const gone = new AbortController();
  const leave = (): void => {
    gone.abort();
  };
  const end = runEnd(entry, options, gone.signal);
  const log = await app.logs
    .open(app.folders.paths(entry.id).log, {
      tail: options.tail === undefined || options.tail < 0 ? undefined : options.tail,
      follow: end.follow,
      ended: end.ended,
      signal: gone.signal,
    })
    .catch((error: unknown) => {
      // Else the end of the run is waited for by nobody.
      leave();
      throw error;
    });
  const endpoint = data.issue(
    async (socket, closed) => {
      if (closed.aborted) leave();
      closed.addEventListener("abort", leave, { once: true });
      // Nothing is to be read, but only who reads hears that the other side has left; writing tells
      // no sooner than the container's next line.
      socket.once("end", leave);
      socket.resume();
      const chunks = logChunks(log, options, tty);
      try {
        await pipeline(Readable.from(chunks), socket, { signal: gone.signal });
      } finally {
        // Whoever left at once has begun nothing.
        await log.close();
      }
    },
    {
      onUnused() {
        leave();
        log.close().catch((error: unknown) => {
          app.logger.warn({ err: error, container: entry.id }, "a log that nobody read stays open");
        });
      },
    },
  );
  return { endpoint, tty };
}

function refuseLogs(entry: Entry, options: LogOptions): void {
  if (!options.stdout && !options.stderr) {
    throw invalidArgument("must specify at least one of 'stdout' or 'stderr'");
  }
  const { state, hostConfig } = entry.record;
  if (state.status === "dead" || state.status === "removing") {
    throw conflict("can not get logs from container which is dead or marked for removal");
  }
  if (hostConfig.logConfig?.type === "none") {
    throw notImplemented("configured logging driver does not support reading");
  }
}

async function* logChunks(
  log: OpenedLog,
  options: LogOptions,
  tty: boolean,
): AsyncGenerator<Buffer> {
  for await (const lines of log.batches) {
    const { chunk, past } = showLines(lines, options, tty);
    if (chunk.length > 0) yield chunk;
    if (past) return;
  }
}

/** A container that does not run has nothing to follow; one that runs is followed to the end of its run. */
function runEnd(
  entry: Entry,
  options: LogOptions,
  signal: AbortSignal,
): { readonly follow: boolean; readonly ended: Promise<unknown> } {
  const { state } = entry.record;
  const follow =
    options.follow && (isLive(state) || isRunning(state) || state.status === "starting");
  if (!follow) return { follow, ended: Promise.resolve() };
  // A follower that leaves wants no more, as at the end of the run.
  const exit = entry.waiters.add("next-exit", signal).catch(() => undefined);
  if (options.untilNano === 0n) return { follow, ended: exit };
  const leftMs = Number(options.untilNano / 1_000_000n) - Date.now();
  const until = Promise.withResolvers<void>();
  const timer = setTimeout(until.resolve, Math.min(Math.max(leftMs, 0), 2 ** 31 - 1)).unref();
  void exit.then(() => {
    clearTimeout(timer);
  });
  return { follow, ended: Promise.race([exit, until.promise]) };
}

/** `past`: a record after `until` was met, nothing later is wanted. */
function showLines(
  lines: readonly LogLine[],
  options: LogOptions,
  tty: boolean,
): { readonly chunk: Buffer; readonly past: boolean } {
  const shown: Buffer[] = [];
  for (const line of lines) {
    const record = parseLogLine(line);
    if (record === undefined) continue;
    if (options.untilNano !== 0n && record.timeNano > options.untilNano) {
      return { chunk: Buffer.concat(shown), past: true };
    }
    if (!isWanted(record, options)) continue;
    const text = showRecord(record, options);
    shown.push(tty ? Buffer.from(text) : frame(record.stream, text));
  }
  return { chunk: Buffer.concat(shown), past: false };
}

function isWanted(record: LogRecord, options: LogOptions): boolean {
  if (record.timeNano < options.sinceNano) return false;
  return record.stream === "stderr" ? options.stderr : options.stdout;
}
