/** Archives by the unpack program of native/ (its README has descriptors, report and exit codes). */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
} from "node:fs";
import path from "node:path";
import type { Readable } from "node:stream";
import { hasErrno, internal } from "@gantry/errors";
import type { Kernel } from "@gantry/native";
import {
  type ApplyOptions,
  ArchiveError,
  type Archives,
  type OfferedWork,
  type PackOptions,
  RootGoneError,
  type RootView,
  type StatResult,
} from "../../ports/archives.ts";

/** A ticket of the data plane. */
const ticketBytes = 32;

/** What is needed besides the program. */
export interface UnpackProgramOptions {
  readonly program: string;
  /** For the sockets of offers; what an earlier service left there is removed. */
  readonly runDir: string;
  readonly kernel: Pick<Kernel, "listenUnix">;
}

export function openUnpackProgram({ program, runDir, kernel }: UnpackProgramOptions): Archives {
  const folder = path.join(runDir, "archives");
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const offer = (args: string[], view: RootView, signal: AbortSignal): OfferedWork => {
    const ticket = randomBytes(ticketBytes);
    const socketPath = path.join(folder, randomBytes(16).toString("hex"));
    const remove = (): void => {
      rmSync(socketPath, { force: true });
    };
    const listener = kernel.listenUnix(socketPath, 0o600, 1);
    const done = orUndo(remove, () => {
      // What cannot be started is not offered.
      const child = startProgram(program, args, { view, signal, listener, ticket });
      return reportOf(child).then(() => undefined);
    }).finally(remove);
    // Whoever offers may be gone before the end: that is no unhandled rejection.
    done.catch(() => undefined);
    return { endpoint: { path: socketPath, ticket }, done };
  };
  return {
    async stat(view, path, signal) {
      const report = await runProgram(program, ["stat", "--path", path, "--with-mounts"], {
        view,
        signal,
      });
      return statResult(report);
    },
    async findUser(view, user, signal) {
      await runProgram(program, ["user", "--user", user, "--with-mounts"], { view, signal });
    },
    pack: (view, options, signal) => offer(packArguments(options), view, signal),
    apply: (view, options, signal) => offer(applyArguments(options), view, signal),
  };
}

function packArguments({ path, name, withMounts }: PackOptions): string[] {
  return [
    ...["pack", "--accept", "--path", path, "--no-follow"],
    ...(name === undefined ? [] : ["--name", name]),
    ...(withMounts ? ["--with-mounts"] : []),
  ];
}

function applyArguments({ path, noOverwriteDirNonDir, owner }: ApplyOptions): string[] {
  return [
    ...["apply", "--accept", "--path", path, "--with-mounts"],
    ...(noOverwriteDirNonDir ? ["--no-overwrite-dir-non-dir"] : []),
    ...(owner === undefined ? [] : ["--chown-user", owner]),
  ];
}

type Report = Readonly<Record<string, unknown>>;

/** A member that should be text; empty when it is not. */
function textMember(report: Report, key: string): string {
  const value = report[key];
  return typeof value === "string" ? value : "";
}

/** Nanoseconds since the epoch as the protocol's 64 bits have them: to the years 1677 and 2262. */
function timeNano(seconds: bigint, nanoseconds: bigint): bigint {
  const exact = seconds * 1_000_000_000n + nanoseconds;
  if (BigInt.asIntN(64, exact) === exact) return exact;
  return exact < 0n ? -(2n ** 63n) : 2n ** 63n - 1n;
}

function statResult(report: Report): StatResult {
  const integer = (key: string): bigint => BigInt(Number(report[key] ?? 0));
  return {
    name: textMember(report, "name"),
    sizeBytes: integer("size"),
    mode: Number(report["mode"] ?? 0),
    mtimeNano: timeNano(integer("mtimeSeconds"), integer("mtimeNanoseconds")),
    linkTarget: textMember(report, "linkTarget"),
    resolved: textMember(report, "resolved"),
  };
}

interface RunOptions {
  readonly view: RootView;
  readonly signal: AbortSignal;
  /** Descriptor that listens for who brings or gets the archive, closed here. */
  readonly listener?: number;
  /** What the connection begins with. */
  readonly ticket?: Uint8Array;
}

function orUndo<T>(undo: () => void, act: () => T): T {
  try {
    return act();
  } catch (error) {
    undo();
    throw error;
  }
}

async function runProgram(program: string, args: string[], options: RunOptions): Promise<Report> {
  return await reportOf(startProgram(program, args, options));
}

async function reportOf(child: ChildProcess): Promise<Report> {
  const [exit, report, complaint] = await Promise.all([
    ended(child),
    text(child.stdio[4] as Readable),
    text(child.stderr),
  ]);
  return readReport(exit, report, complaint);
}

/** Throws RootGoneError. */
function startProgram(program: string, args: string[], options: RunOptions): ChildProcess {
  const { listener } = options;
  try {
    return spawnProgram(program, args, options);
  } finally {
    if (listener !== undefined) closeSync(listener);
  }
}

function spawnProgram(program: string, args: string[], options: RunOptions): ChildProcess {
  const { view, signal, listener, ticket } = options;
  const inside = view.kind === "process";
  const fd = openView(view);
  // The program wants a directory there even where the namespace says what it works on.
  const root = inside ? openSync("/", constants.O_RDONLY | constants.O_DIRECTORY) : fd;
  const child = spawn(program, [...args, ...viewArguments(view)], {
    cwd: "/",
    env: ticket === undefined ? {} : { GANTRY_TICKET: Buffer.from(ticket).toString("hex") },
    signal,
    killSignal: "SIGKILL",
    stdio: [listener ?? "ignore", "ignore", "pipe", root, "pipe", ...(inside ? [fd] : [])],
  });
  closeSync(fd);
  if (root !== fd) closeSync(root);
  return child;
}

function viewArguments(view: RootView): string[] {
  if (view.kind === "folder") return [];
  return ["--mntns", ...view.hidden.flatMap((each) => ["--hide", each])];
}

function openView(view: RootView): number {
  if (view.kind === "folder")
    return openSync(view.path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    return openNamespace(view);
  } catch (error) {
    if (!hasErrno(error, "ENOENT") && !hasErrno(error, "ESRCH")) throw error;
    throw new RootGoneError({ cause: error });
  }
}

/** Another process may have got the number meanwhile, one of the host even: looked at once it is open. */
function openNamespace({ pid, startTicks }: Extract<RootView, { kind: "process" }>): number {
  const fd = openSync(`/proc/${String(pid)}/ns/mnt`, constants.O_RDONLY);
  const stat = readFileSync(`/proc/${String(pid)}/stat`, "utf8");
  // After the name in parentheses, which may hold anything; the third field follows.
  const found = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  const isOurs = fstatSync(fd).ino === statSync("/proc/self/ns/mnt").ino;
  if (found === String(startTicks) && !isOurs) return fd;
  closeSync(fd);
  throw new RootGoneError();
}

function ended(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      resolve(String(code ?? signal));
    });
  });
}

async function text(stream: Readable | null): Promise<string> {
  const chunks: Buffer[] = [];
  if (stream !== null) for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}

function readReport(exit: string, report: string, complaint: string): Report {
  const line = report.trimEnd().split("\n").at(-1) ?? "";
  if (line === "") {
    throw internal(
      `unpack program ended with ${exit}${complaint === "" ? "" : `: ${complaint.trim()}`}`,
    );
  }
  const parsed = JSON.parse(line) as Report;
  if (parsed["ok"] === true) return parsed;
  throw new ArchiveError({
    step: textMember(parsed, "step"),
    errno: Number(parsed["errno"]),
    path: textMember(parsed, "path"),
    message: textMember(parsed, "message"),
  });
}
