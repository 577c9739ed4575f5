/** Runs the sandboxed unpack program of native/ and reads its report. */
import { type ChildProcess, type StdioOptions, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import type { Readable, Writable } from "node:stream";
import {
  canceled,
  type EngineError,
  internal,
  invalidArgument,
  toEngineError,
} from "@gantry/errors";

/** A line of the report, as JSON. */
export type ReportLine = Readonly<Record<string, unknown>>;

/** How to start it. */
export interface ProgramRun {
  readonly program: string;
  readonly args: readonly string[];
  /** Descriptor 3. */
  readonly directory: string;
  /** Descriptors 5, 6, …; one later with `lowersReady`. */
  readonly lowers: readonly string[];
  /** Descriptor 5 gets a byte when this resolves, and is closed without one when it rejects. */
  readonly lowersReady?: Promise<void> | undefined;
  /** Descriptor 0: a file to read, or `pipe`. */
  readonly input: { readonly file: string } | "pipe" | "none";
  /** Descriptor 1 is wanted. */
  readonly output: boolean;
  readonly signal: AbortSignal;
  /** Feeds `pipe` input; its error ends the run. */
  readonly feed?: ((stdin: Writable) => Promise<void>) | undefined;
  /** Takes the output. */
  readonly drain?: ((stdout: Readable) => Promise<void>) | undefined;
  /** Takes all lines of the report but the last. */
  readonly onLine?: ((line: ReportLine) => void) | undefined;
}

/** Runs to the end and returns the last line of the report. Throws its failure as an EngineError. */
export async function runProgram(run: ProgramRun): Promise<ReportLine> {
  if (run.signal.aborted) throw canceled("unpacking was canceled");
  const child = start(run);
  const kill = (): void => {
    child.kill("SIGKILL");
  };
  run.signal.addEventListener("abort", kill, { once: true });
  try {
    return await attend(run, child);
  } finally {
    run.signal.removeEventListener("abort", kill);
  }
}

function start(run: ProgramRun): ChildProcess {
  const opened: number[] = [];
  const openFd = (file: string): number => {
    const fd = openSync(file, "r");
    opened.push(fd);
    return fd;
  };
  try {
    const { input } = run;
    const stdin = input === "pipe" ? "pipe" : input === "none" ? "ignore" : openFd(input.file);
    const stdio: StdioOptions = [
      stdin,
      run.output ? "pipe" : "ignore",
      "ignore",
      openFd(run.directory),
      "pipe",
      ...(run.lowersReady === undefined ? [] : (["pipe"] as const)),
      ...run.lowers.map(openFd),
    ];
    return spawn(run.program, run.args, { stdio, env: {}, cwd: "/" });
  } finally {
    for (const fd of opened) closeSync(fd);
  }
}

async function attend(run: ProgramRun, child: ChildProcess): Promise<ReportLine> {
  const report = readReport(child.stdio[4] as Readable, run.onLine);
  const ended = new Promise<string>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      resolve(signal ?? `exit code ${String(code)}`);
    });
  });
  tellReady(run, child);
  // A failure of a feeder or taker is ours; the program's own follows from it and says less.
  let ours: unknown;
  const guard = async (work: Promise<void> | undefined): Promise<void> => {
    try {
      await work;
    } catch (error) {
      ours ??= error;
      child.kill("SIGKILL");
    }
  };
  const { stdin, stdout } = child;
  await Promise.all([
    ended,
    guard(stdin === null ? undefined : run.feed?.(stdin)),
    guard(stdout === null ? undefined : run.drain?.(stdout)),
  ]);
  const last = await report;
  if (run.signal.aborted) throw canceled("unpacking was canceled");
  if (ours !== undefined) throw toEngineError(ours);
  if (last === undefined) {
    throw internal(`the unpack program ended without a report: ${await ended}`);
  }
  if (last["ok"] !== true) throw failureOf(last);
  return last;
}

function tellReady({ lowersReady }: ProgramRun, child: ChildProcess): void {
  if (lowersReady === undefined) return;
  const go = (child.stdio as readonly unknown[])[5] as Writable;
  // The program ends without waiting when it has no use for it.
  go.on("error", () => undefined);
  lowersReady.then(
    () => go.end("\n"),
    () => go.destroy(),
  );
}

/** Longest report line that is kept. */
const maxLineBytes = 64 * 1024;

async function readReport(
  stream: Readable,
  onLine: ((line: ReportLine) => void) | undefined,
): Promise<ReportLine | undefined> {
  let rest = "";
  let last: ReportLine | undefined;
  stream.setEncoding("utf8");
  for await (const chunk of stream as AsyncIterable<string>) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > maxLineBytes) throw internal("the unpack program's report is malformed");
    for (const line of lines) {
      if (last !== undefined) onLine?.(last);
      last = JSON.parse(line) as ReportLine;
    }
  }
  return last;
}

/** Steps whose failure says that the archive is bad; all others are the machine's. */
const archiveSteps = new Set(["decompress", "tar", "limit", "path", "link", "symlink", "overlay"]);

/** ENOSPC and EDQUOT. */
const diskFull = new Set([28, 122]);

function failureOf(line: ReportLine): EngineError {
  const step = typeof line["step"] === "string" ? line["step"] : "unpack";
  const message = typeof line["message"] === "string" ? line["message"] : "unpack failed";
  // What every engine written in Go says of an archive that was cut.
  const text = /: unexpected end(?: of archive)?$/.test(message) ? "unexpected EOF" : message;
  const errno = typeof line["errno"] === "number" ? line["errno"] : 0;
  if (diskFull.has(errno)) return internal(text);
  return archiveSteps.has(step) ? invalidArgument(text) : internal(text);
}
