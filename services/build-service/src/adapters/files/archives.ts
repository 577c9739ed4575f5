/** The Archives port over native/'s unpack program, which works inside the tree it is given. */
import { spawn } from "node:child_process";
import { closeSync, constants, createReadStream, openSync, readSync } from "node:fs";
import path from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { internal } from "@gantry/errors";
import { BuildFailure } from "../../domain/build-failure.ts";
import type { Archives } from "../../ports/downloads.ts";

/** @param program path of the unpack program */
export function openArchives(program: string): Archives {
  return {
    async unpack(input, { root, path: place }, owner, signal) {
      const args = ["apply", "--path", place];
      if (owner !== undefined) args.push("--chown", `${String(owner.uid)}:${String(owner.gid)}`);
      await fed(start(program, args, root, signal, "pipe"), input);
    },
    async hasEntries(file, signal) {
      const child = start(program, ["probe"], path.dirname(file), signal, "pipe");
      return (await fed(child, createReadStream(file))).archive === true;
    },
    async *pack(root, folder, signal) {
      const name = folder === "" ? [] : ["--name", folder];
      const child = start(program, ["pack", "--path", "/", ...name], root, signal, "ignore");
      const done = finished(child);
      done.catch(() => undefined);
      yield* child.stdout as AsyncIterable<Uint8Array>;
      await done;
    },
    isArchive,
  };
}

type Child = ReturnType<typeof start>;

function start(
  program: string,
  args: readonly string[],
  root: string,
  signal: AbortSignal,
  stdin: "pipe" | "ignore",
) {
  const fd = openSync(root, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const child = spawn(program, [...args], {
      ...{ cwd: "/", env: {}, signal, killSignal: "SIGKILL" as const },
      stdio: [stdin, "pipe", "pipe", fd, "pipe"],
    });
    const { stdin: input, stdout, stderr } = child;
    if (stdout === null || stderr === null) throw internal("the unpack program has no streams");
    return { child, stdin: input, stdout, stderr };
  } finally {
    closeSync(fd);
  }
}

/** What the program says when it succeeds. */
interface Report {
  readonly ok?: boolean;
  readonly message?: string;
  readonly path?: string;
  readonly archive?: boolean;
}

/** Gives the program its input, of which it may take less than there is: its report says why. */
async function fed(child: Child, input: AsyncIterable<Uint8Array>): Promise<Report> {
  if (child.stdin === null) throw internal("the unpack program has no input");
  const feeding = pipeline(Readable.from(input, { objectMode: false }), child.stdin).catch(
    (error: unknown) => error,
  );
  const report = await finished(child);
  const problem = await feeding;
  if (problem instanceof Error && !isBrokenPipe(problem)) throw problem;
  return report;
}

async function finished({ child, stderr, stdout, stdin }: Child): Promise<Report> {
  if (stdin !== null) stdout.resume();
  const ended = new Promise<string>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      resolve(String(code ?? signal));
    });
  });
  const [exit, report, complaint] = await Promise.all([
    ended,
    text(child.stdio[4] as Readable),
    text(stderr),
  ]);
  const line = report.trimEnd().split("\n").at(-1) ?? "";
  if (line === "") throw internal(`unpack program ended with ${exit}: ${complaint.trim()}`);
  const parsed = JSON.parse(line) as Report;
  if (parsed.ok === true) return parsed;
  throw new BuildFailure(wordsOf(parsed.message ?? "archive cannot be unpacked", parsed.path));
}

/** What clients are used to read of an archive that is none. */
function wordsOf(message: string, entry: string | undefined): string {
  if (/: unexpected end(?: of archive)?$/.test(message)) return "unexpected EOF";
  if (message.endsWith(": invalid header checksum")) return "archive/tar: invalid tar header";
  if (entry === undefined || entry === "") return message;
  if (message.includes(" is outside of ")) return `invalid entry name ${JSON.stringify(entry)}`;
  return `${message}: ${entry}`;
}

async function text(stream: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}

function isBrokenPipe(error: Error): boolean {
  return "code" in error && (error.code === "EPIPE" || error.code === "ERR_STREAM_PREMATURE_CLOSE");
}

const magics = [
  [0, "1f8b"],
  [0, "425a68"],
  [0, "fd377a585a00"],
  [0, "28b52ffd"],
  [257, "7573746172"],
] as const;

/** By its first bytes: gzip, bzip2, xz, zstd, or a tar's own mark. */
function isArchive(file: string): boolean {
  const head = Buffer.alloc(512);
  const fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    readSync(fd, head, 0, head.length, 0);
  } finally {
    closeSync(fd);
  }
  return magics.some(([at, hex]) => head.subarray(at, at + hex.length / 2).toString("hex") === hex);
}
