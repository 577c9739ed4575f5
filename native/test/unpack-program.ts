// Runs the unpack program on throw-away directories, for its tests.
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Readable, Writable } from "node:stream";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";

const native = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

assert.ok(process.getuid?.() === 0, "the unpack program's tests need root");

/** The builds to test, by folder name: the real one, and the sanitized one where it was made. */
export const builds = ["build", "build-asan"].filter((name) =>
  existsSync(path.join(native, name, "unpack")),
);

assert.ok(builds.length > 0, "build the unpack program first: make -C native all asan");

export interface Report {
  ok: boolean;
  step?: string;
  errno?: number;
  path?: string;
  message?: string;
  [key: string]: unknown;
}

export interface Outcome {
  exitCode: number | null;
  signal: NodeJS.Signals | null;
  /** Last line of the report; undefined when there was none. */
  report: Report | undefined;
  lines: Report[];
  stdout: Buffer;
  stderr: string;
}

export interface RunOptions {
  /** Bytes for stdin, closed after them. */
  input?: Buffer;
  /** Paths of further directories or files, opened as descriptors 5, 6, … */
  extra?: string[];
}

export interface Running {
  child: ChildProcess;
  stdin: Writable;
  stdout: Readable;
  report: Readable;
  outcome: Promise<Outcome>;
}

/** Starts the program on `directory`; stdin stays open. */
export function startUnpack(
  build: string,
  directory: string,
  args: string[],
  extra: string[] = [],
): Running {
  // Indexes of blocks are written, too.
  const opened = [directory, ...extra].map((name) =>
    openSync(name, name.endsWith(".blocks") ? "r+" : "r"),
  );
  const [root, ...rest] = opened;
  const child = spawn(path.join(native, build, "unpack"), args, {
    stdio: ["pipe", "pipe", "pipe", root, "pipe", ...rest],
    env: { PATH: "/usr/bin:/bin", ASAN_OPTIONS: "detect_leaks=0:abort_on_error=1" },
  });
  for (const fd of opened) closeSync(fd);
  // Three pipes were asked for above, so they are there.
  const [stdin, stdout, , , report] = child.stdio as unknown as [
    Writable,
    Readable,
    Readable,
    null,
    Readable,
  ];
  // The program may end before it has read everything.
  stdin.on("error", () => undefined);
  return { child, stdin, stdout, report, outcome: collect(child, report) };
}

/** Runs the program to its end. */
export async function runUnpack(
  build: string,
  directory: string,
  args: string[],
  options: RunOptions = {},
): Promise<Outcome> {
  const running = startUnpack(build, directory, args, options.extra);
  running.stdin.end(options.input ?? Buffer.alloc(0));
  return running.outcome;
}

async function collect(child: ChildProcess, report: Readable): Promise<Outcome> {
  const text = { report: [] as Buffer[], stdout: [] as Buffer[], stderr: [] as Buffer[] };
  report.on("data", (chunk: Buffer) => text.report.push(chunk));
  child.stdout?.on("data", (chunk: Buffer) => text.stdout.push(chunk));
  child.stderr?.on("data", (chunk: Buffer) => text.stderr.push(chunk));
  const [exitCode, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
  const lines = Buffer.concat(text.report)
    .toString()
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Report);
  return {
    exitCode,
    signal,
    report: lines.at(-1),
    lines,
    stdout: Buffer.concat(text.stdout),
    stderr: Buffer.concat(text.stderr).toString(),
  };
}

/** A fresh directory that goes with the test. */
export function workDirectory(t: TestContext): string {
  const made = makeDirectory();
  t.after(made.remove);
  return made.path;
}

/** A digest as OCI descriptors write it. */
export function sha256(data: Buffer): string {
  return `sha256:${createHash("sha256").update(data).digest("hex")}`;
}

/** A root that a script has filled, in a work directory of its own. */
export function makeRoot(t: TestContext, script = "true"): string {
  const root = path.join(workDirectory(t), "root");
  mkdirSync(root);
  sh(`umask 022; ${script}`, root);
  return root;
}

/** Asserts that a run succeeded. */
export function succeeded(outcome: Outcome): Outcome {
  assert.deepEqual(
    [outcome.exitCode, outcome.report?.ok],
    [0, true],
    JSON.stringify({ ...outcome, stdout: "" }),
  );
  return outcome;
}

/** A fresh directory, with its remover. */
export function makeDirectory(): { path: string; remove: () => void } {
  const made = mkdtempSync(path.join(tmpdir(), "gantry-unpack-"));
  return { path: made, remove: () => rmSync(made, { recursive: true, force: true }) };
}

/** Runs a helper program of the machine; throws with its stderr when it fails. */
export function sh(script: string, cwd: string): string {
  const result = spawnSync("/bin/sh", ["-ec", script], { cwd, maxBuffer: 1 << 28 });
  if (result.status !== 0) throw new Error(`${script}: ${result.stderr.toString()}`);
  return result.stdout.toString();
}

/** Everything about a tree that unpacking must reproduce, one line per file. */
export function describeTree(directory: string): string {
  const files = sh(
    "find . -printf '%P|%y|%m|%U|%G|%s|%T@|%n|%l\\n' | sed -E 's/^([^|]*\\|d\\|[^|]*\\|[^|]*\\|[^|]*)\\|[0-9]+/\\1|-/' | LC_ALL=C sort",
    directory,
  );
  const devices = sh(
    "find . \\( -type b -o -type c \\) -exec stat -c '%n %t:%T' {} + | LC_ALL=C sort",
    directory,
  );
  const xattrs = sh(
    "found=$(find . -print0 | LC_ALL=C sort -z | xargs -0 getfattr -h -d -m - -e hex); printf '%s\\n' \"$found\" | grep -v '^$' || true",
    directory,
  );
  const links = sh("find . -type f -links +1 -printf '%i %P\\n' | LC_ALL=C sort -k2", directory);
  const groups = new Map<string, string[]>();
  for (const line of links.split("\n").filter((text) => text !== "")) {
    const [inode = "", ...name] = line.split(" ");
    groups.set(inode, [...(groups.get(inode) ?? []), name.join(" ")]);
  }
  const sums = sh("find . -type f -exec sha256sum {} + | LC_ALL=C sort -k2", directory);
  return [
    files,
    devices,
    xattrs,
    [...groups.values()].map((names) => names.join("=")).join("\n"),
    sums,
  ].join("\n--\n");
}
