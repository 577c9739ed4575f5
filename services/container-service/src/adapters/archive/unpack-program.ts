/** Archives by the unpack program of native/ (its README has descriptors, report and exit codes). */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, constants, fstatSync, openSync, readFileSync, statSync } from "node:fs";
import type { Readable, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { conflict, hasErrno, internal } from "@gantry/errors";
import {
  ArchiveError,
  type Archives,
  type RootView,
  type StatResult,
} from "../../ports/archives.ts";

export function openUnpackProgram(program: string): Archives {
  return {
    async stat(view, path, signal) {
      const report = await runProgram(program, ["stat", "--path", path, "--with-mounts"], {
        view,
        signal,
      });
      return statResult(report);
    },
    async pack(view, { path, name, withMounts }, to, signal) {
      const args = [
        ...["pack", "--path", path, "--no-follow"],
        ...(name === undefined ? [] : ["--name", name]),
        ...(withMounts ? ["--with-mounts"] : []),
      ];
      await runProgram(program, args, { view, signal, output: to });
    },
    async apply(view, { path, noOverwriteDirNonDir, owner }, from, signal) {
      const args = [
        ...["apply", "--path", path, "--with-mounts"],
        ...(noOverwriteDirNonDir ? ["--no-overwrite-dir-non-dir"] : []),
        ...(owner === undefined ? [] : ["--chown-user", owner]),
      ];
      await runProgram(program, args, { view, signal, input: from });
    },
  };
}

type Report = Readonly<Record<string, unknown>>;

/** A member that should be text; empty when it is not. */
function textMember(report: Report, key: string): string {
  const value = report[key];
  return typeof value === "string" ? value : "";
}

function statResult(report: Report): StatResult {
  const integer = (key: string): bigint => BigInt(Number(report[key] ?? 0));
  return {
    name: textMember(report, "name"),
    sizeBytes: integer("size"),
    mode: Number(report["mode"] ?? 0),
    mtimeNano: integer("mtimeSeconds") * 1_000_000_000n + integer("mtimeNanoseconds"),
    linkTarget: textMember(report, "linkTarget"),
    resolved: textMember(report, "resolved"),
  };
}

interface RunOptions {
  readonly view: RootView;
  readonly signal: AbortSignal;
  readonly input?: Readable;
  readonly output?: Writable;
}

async function runProgram(program: string, args: string[], options: RunOptions): Promise<Report> {
  const { view, signal, input, output } = options;
  const inside = view.kind === "process";
  const fd = openView(view);
  // The program wants a directory there even where the namespace says what it works on.
  const root = inside ? openSync("/", constants.O_RDONLY | constants.O_DIRECTORY) : fd;
  const child = spawn(program, inside ? [...args, "--mntns"] : args, {
    cwd: "/",
    env: {},
    signal,
    killSignal: "SIGKILL",
    stdio: [
      input === undefined ? "ignore" : "pipe",
      output === undefined ? "ignore" : "pipe",
      "pipe",
      root,
      "pipe",
      ...(inside ? [fd] : []),
    ],
  });
  closeSync(fd);
  if (root !== fd) closeSync(root);
  const [exit, report, complaint] = await Promise.all([
    ended(child),
    text(child.stdio[4] as Readable),
    text(child.stderr),
    feed(child, input),
    drain(child, output),
  ]);
  return readReport(exit, report, complaint);
}

function openView(view: RootView): number {
  if (view.kind === "folder")
    return openSync(view.path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    return openNamespace(view);
  } catch (error) {
    if (!hasErrno(error, "ENOENT") && !hasErrno(error, "ESRCH")) throw error;
    throw conflict("container is not running", { cause: error });
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
  throw conflict("container is not running");
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

/** The program may have read enough, or failed, before the input ends: its report says which. */
async function feed(child: ChildProcess, input: Readable | undefined): Promise<void> {
  if (input === undefined || child.stdin === null) return;
  await pipeline(input, child.stdin).catch(() => undefined);
}

async function drain(child: ChildProcess, output: Writable | undefined): Promise<void> {
  if (output === undefined || child.stdout === null) return;
  await pipeline(child.stdout, output);
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
