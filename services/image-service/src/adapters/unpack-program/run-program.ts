/** Runs the sandboxed unpack program of native/ and reads its report. */
import { closeSync, openSync } from "node:fs";
import { Socket } from "node:net";
import { constants } from "node:os";
import type { Readable, Writable } from "node:stream";
import {
  canceled,
  type EngineError,
  internal,
  invalidArgument,
  toEngineError,
} from "@gantry/errors";
import type { Kernel } from "@gantry/native";

/** A line of the report, as JSON. */
export type ReportLine = Readonly<Record<string, unknown>>;

/** What a run is made of. */
export interface ProgramRun {
  readonly args: readonly string[];
  /** Descriptor 3. */
  readonly directory: string;
  /** Descriptors 5, 6, …; one later with `lowersReady`. */
  readonly lowers: readonly string[];
  /** Descriptor 5 gets a byte when this resolves, and is closed without one when it rejects. */
  readonly lowersReady?: Promise<void> | undefined;
  /** Descriptor 5: a file to write; 6, 7, …: files to read. Excludes the above. */
  readonly blocks?: { readonly own: string; readonly others: readonly string[] } | undefined;
  /** Descriptor 0: a file to read, or `pipe`. */
  readonly input: { readonly file: string } | "pipe" | "none";
  /** Descriptor 1: a file to write. */
  readonly output: { readonly file: string } | "none";
  readonly signal: AbortSignal;
  /** Feeds `pipe` input; its error ends the run. */
  readonly feed?: ((stdin: Writable) => Promise<void>) | undefined;
  /** Takes all lines of the report but the last. */
  readonly onLine?: ((line: ReportLine) => void) | undefined;
}

/** Of the kernel, what starting a program takes. Node's own spawn copies page tables, and waits for its child. */
export type ProgramKernel = Pick<
  Kernel,
  "sealExecutable" | "launch" | "watchPidfd" | "pidfdSendSignal" | "socketpair" | "closeFd"
>;

/** Runs to the end and returns the last line of the report. Throws its failure as an EngineError. */
export type RunProgram = (run: ProgramRun) => Promise<ReportLine>;

/**
 * @param program path of the program, read at the first run
 * @param kernel loaded at the first run
 */
export function createRunner(program: string, kernel: () => ProgramKernel): RunProgram {
  let executable: number | undefined;
  return async (run) => {
    if (run.signal.aborted) throw canceled("unpacking was canceled");
    executable ??= kernel().sealExecutable(program);
    await using child = launch(kernel(), { program, executable }, run);
    const kill = (): void => {
      child.kill();
    };
    run.signal.addEventListener("abort", kill, { once: true });
    try {
      return await attend(run, child);
    } finally {
      run.signal.removeEventListener("abort", kill);
    }
  };
}

/** The running program. Disposing it ends it, and waits for that. */
interface Child extends AsyncDisposable {
  readonly stdin: Socket | undefined;
  readonly report: Socket;
  /** Says when the lower layers are complete. */
  readonly go: Socket | undefined;
  /** How it has ended, in words. */
  readonly ended: Promise<string>;
  kill(): void;
}

const descriptor = { stdin: 0, stdout: 1, directory: 3, report: 4, extra: 5 };

function launch(
  kernel: ProgramKernel,
  { program, executable }: { readonly program: string; readonly executable: number },
  run: ProgramRun,
): Child {
  using theirs = new DisposableStack();
  using ours = new DisposableStack();
  const fds: [number, number][] = [];
  const give = (fd: number, close: (fd: number) => void, as: number): void => {
    theirs.adopt(fd, close);
    fds.push([as, fd]);
  };
  const file = (name: string, as: number, flags = "r"): void => {
    give(openSync(name, flags), closeSync, as);
  };
  const pipe = (as: number, direction: { readable?: boolean; writable?: boolean }): Socket => {
    const [near, far] = kernel.socketpair();
    give(
      far,
      (fd) => {
        kernel.closeFd(fd);
      },
      as,
    );
    return ours.adopt(
      new Socket({ fd: near, readable: false, writable: false, ...direction }),
      (socket) => socket.destroy(),
    );
  };
  const { input, output } = run;
  const stdin = input === "pipe" ? pipe(descriptor.stdin, { writable: true }) : undefined;
  if (typeof input === "object") file(input.file, descriptor.stdin);
  if (output !== "none") file(output.file, descriptor.stdout, "r+");
  file(run.directory, descriptor.directory);
  const report = pipe(descriptor.report, { readable: true });
  const go = run.lowersReady === undefined ? undefined : pipe(descriptor.extra, { writable: true });
  const first = descriptor.extra + (go === undefined ? 0 : 1);
  for (const [index, lower] of run.lowers.entries()) file(lower, first + index);
  if (run.blocks !== undefined) {
    file(run.blocks.own, descriptor.extra, "r+");
    for (const [index, name] of run.blocks.others.entries()) file(name, first + 1 + index);
  }
  const argv = [program, ...run.args];
  const { pidfd } = kernel.launch({ executable, argv, env: [], fds, cwd: "/" });
  const sockets = ours.move();
  return { stdin, report, go, ...watch(kernel, pidfd, sockets) };
}

function watch(
  kernel: ProgramKernel,
  pidfd: number,
  sockets: DisposableStack,
): Pick<Child, "ended" | "kill" | typeof Symbol.asyncDispose> {
  const ended = Promise.withResolvers<string>();
  let running = true;
  kernel.watchPidfd(pidfd, (exit) => {
    running = false;
    kernel.closeFd(pidfd);
    if (exit === undefined) ended.resolve("of an unknown cause");
    else if ("signal" in exit) ended.resolve(`signal ${exit.signal}`);
    else ended.resolve(`exit code ${exit.exitCode}`);
  });
  const kill = (): void => {
    if (running) kernel.pidfdSendSignal(pidfd, constants.signals.SIGKILL);
  };
  return {
    ended: ended.promise,
    kill,
    [Symbol.asyncDispose]: async () => {
      kill();
      await ended.promise;
      sockets.dispose();
    },
  };
}

async function attend(run: ProgramRun, child: Child): Promise<ReportLine> {
  const report = readReport(child.report, run.onLine);
  tellReady(run, child);
  // A feeder's failure is ours; the program's own follows from it and says less.
  let ours: unknown;
  const guard = async (work: Promise<unknown> | undefined): Promise<void> => {
    try {
      await work;
    } catch (error) {
      ours ??= error;
      child.kill();
    }
  };
  const { stdin, ended } = child;
  // Whoever waits to write more is told.
  const closed = ended.then(() => stdin?.destroy());
  await Promise.all([closed, guard(stdin && run.feed?.(stdin)), guard(report)]);
  if (run.signal.aborted) throw canceled("unpacking was canceled");
  if (ours !== undefined) throw toEngineError(ours);
  const last = await report;
  if (last === undefined) {
    throw internal(`the unpack program ended without a report: ${await ended}`);
  }
  if (last["ok"] !== true) throw failureOf(last);
  return last;
}

function tellReady({ lowersReady }: ProgramRun, { go }: Child): void {
  if (lowersReady === undefined || go === undefined) return;
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

/** What Docker says of broken compression, where it does not depend on how far its decoder came. */
const goWords: ReadonlyMap<string, string> = new Map([
  ["decompress gzip: checksum mismatch", "gzip: invalid checksum"],
  ["decompress gzip: data after the last member", "gzip: invalid header"],
  ["decompress gzip: invalid header", "gzip: invalid header"],
  ["decompress zstd: Unknown frame descriptor", "invalid input: magic number mismatch"],
  // Docker leaves xz to the program of that name.
  ["decompress xz: invalid data", "exit status 1: xz: (stdin): Compressed data is corrupt\n"],
  ["decompress xz: unexpected end", "exit status 1: xz: (stdin): Unexpected end of input\n"],
]);

function failureOf(line: ReportLine): EngineError {
  const step = typeof line["step"] === "string" ? line["step"] : "unpack";
  const message = typeof line["message"] === "string" ? line["message"] : "unpack failed";
  // What every engine written in Go says of an archive that was cut.
  const text =
    goWords.get(message) ??
    (/: unexpected end(?: of archive)?$/.test(message) ? "unexpected EOF" : message);
  const errno = typeof line["errno"] === "number" ? line["errno"] : 0;
  // In the spelling that clients look for.
  if (diskFull.has(errno)) return internal(text.replace("No space left", "no space left"));
  return archiveSteps.has(step) ? invalidArgument(text) : internal(text);
}
