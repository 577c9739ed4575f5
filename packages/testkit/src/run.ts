/** Runs a program to its end and keeps what it printed. */
import { spawn } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { hasErrno } from "@gantry/errors";
import { slowness } from "./slowness.ts";

/** How a program ended. */
export interface Ran {
  /** Exit code; 128+n when signal n ended it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Wall time from spawn to exit. */
  readonly elapsedMs: number;
}

/** Options of {@link run}. */
export interface RunOptions {
  /** The whole environment. Default: PATH and HOME only, since extra variables slow Node and docker down. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Written to standard input, which is then closed. Default: /dev/null. */
  readonly input?: string | Uint8Array;
  /** The program is killed after this time, with what it has started, and the code is 137. Default 120 000. */
  readonly timeoutMs?: number;
}

/** Links to programs of unpacked Debian packages, for machines that have none, or an older one. */
export const programLinksDir = "/var/cache/gantry/bin";

/** The environment that tests give to programs. */
export function cleanEnvironment(
  extra: Readonly<Record<string, string>> = {},
): Record<string, string> {
  return {
    PATH: `${programLinksDir}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
    HOME: "/root",
    LANG: "C.UTF-8",
    ...extra,
  };
}

const signalNumbers: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGABRT: 6,
  SIGKILL: 9,
  SIGSEGV: 11,
  SIGPIPE: 13,
  SIGTERM: 15,
};

/** Runs `argv` and resolves when it has ended and its output is read; rejects only when it can't be started. */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const [program, ...args] = argv;
  if (program === undefined) throw new Error("run: empty argv");
  const started = process.hrtime.bigint();
  const child = spawn(program, args, {
    env: options.env ?? cleanEnvironment(),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    stdio: [options.input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
  });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout?.on("data", (chunk: Buffer) => stdout.push(chunk));
  child.stderr?.on("data", (chunk: Buffer) => stderr.push(chunk));
  // A program that ends without reading its input breaks the pipe; its exit code tells.
  child.stdin?.on("error", () => undefined);
  child.stdin?.end(options.input);
  const kill = (): void => {
    const runs = child.exitCode === null && child.signalCode === null;
    // A plugin of the client's would go on for as long as it likes, and one that was left keeps the pipes open.
    if (runs && child.pid !== undefined) familyOf(child.pid).forEach(killIfThere);
    child.stdout?.destroy();
    child.stderr?.destroy();
  };
  const timer = setTimeout(kill, (options.timeoutMs ?? 120_000) * slowness);
  const code = await new Promise<number>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (exit, signal) => {
      resolve(exit ?? 128 + (signal === null ? 0 : (signalNumbers[signal] ?? 0)));
    });
  }).finally(() => {
    clearTimeout(timer);
  });
  return {
    code,
    stdout: Buffer.concat(stdout).toString(),
    stderr: Buffer.concat(stderr).toString(),
    elapsedMs: Number(process.hrtime.bigint() - started) / 1e6,
  };
}

/** A process and all that come of it, as far as their parents live: proc_pid_task(5), children. */
function familyOf(pid: number): number[] {
  const children = globSync(`/proc/${String(pid)}/task/*/children`).flatMap((file) => {
    try {
      return readFileSync(file, "utf8").trim().split(" ").filter(Boolean).map(Number);
    } catch {
      // The thread has ended meanwhile.
      return [];
    }
  });
  return [pid, ...children.flatMap(familyOf)];
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if (!hasErrno(error, "ESRCH")) throw error;
  }
}

/** As {@link run}, but an exit code other than 0 is an error that shows what was printed. */
export async function mustRun(argv: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const ran = await run(argv, options);
  if (ran.code !== 0) {
    throw new Error(
      `${argv.join(" ")} exited with ${String(ran.code)}\n${ran.stdout}${ran.stderr}`,
    );
  }
  return ran;
}
