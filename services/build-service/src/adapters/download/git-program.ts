/** git, run so that neither the repository nor this machine's settings make it do more than fetching. */
import { spawn } from "node:child_process";
import { hasErrno } from "@gantry/errors";
import { BuildFailure } from "../../domain/build-failure.ts";
import type { LogStream } from "../../ports/progress.ts";

/** Settings that close what a hostile repository could use. */
const settings = [
  ...["-c", "protocol.allow=never", "-c", "protocol.https.allow=always"],
  ...["-c", "protocol.http.allow=always", "-c", "protocol.git.allow=always"],
  ...["-c", "protocol.ssh.allow=always", "-c", "core.hooksPath=/dev/null"],
  ...["-c", "core.fsmonitor=false", "-c", "core.symlinks=true", "-c", "submodule.recurse=false"],
];

const ssh = "ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=accept-new";

/** How to run it. */
export interface GitOptions {
  readonly cwd: string;
  /** `Authorization` for http, or empty. Given by environment: arguments can be seen by everybody. */
  readonly authorization: string;
  /** The only keys that ssh may use; undefined: those of this machine. */
  readonly agentSocket: string | undefined;
  readonly onOutput: (stream: LogStream, bytes: Uint8Array) => void;
  readonly signal: AbortSignal;
}

/** git has ended with a code other than 0. */
export class GitFailure extends BuildFailure {
  /** What it said, and its code. */
  readonly said: string;
  /** The same in BuildKit's words. */
  readonly told: string;
  /** It was about how much of the history was asked for. */
  readonly isOfDepth: boolean;

  constructor(command: string, stderr: string, code: number | null) {
    const status = `exit status ${String(code)}`;
    super(`git ${command} failed: ${stderr.trim() || status}`);
    this.said = `${stderr}: ${status}`;
    this.told = `git stderr:\n${this.said}`;
    this.isOfDepth = /shallow|--depth/.test(stderr);
  }
}

/**
 * Runs it for the newest commit alone, or for all of them where the server can't cut history: plain files over http.
 * @param args the arguments, with those for the depth in their place
 */
export async function runGitShallow(
  args: (depth: readonly string[]) => readonly string[],
  options: GitOptions,
): Promise<string> {
  try {
    return await runGit(args(["--depth", "1"]), options);
  } catch (error) {
    if (!(error instanceof GitFailure) || !error.isOfDepth) throw error;
    return await runGit(args([]), options);
  }
}

/** Runs git to its end and returns its output. Throws BuildFailure. */
export async function runGit(args: readonly string[], options: GitOptions): Promise<string> {
  const { cwd, authorization, agentSocket, onOutput, signal } = options;
  const child = spawn("git", [...settings, ...args], {
    ...{ cwd, signal, killSignal: "SIGKILL" as const, stdio: ["ignore", "pipe", "pipe"] as const },
    env: {
      PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      HOME: cwd,
      GIT_TERMINAL_PROMPT: "0",
      GIT_CONFIG_NOSYSTEM: "1",
      GIT_CONFIG_GLOBAL: "/dev/null",
      GIT_SSH_COMMAND: agentSocket === undefined ? ssh : `${ssh} -o IdentityFile=/dev/null`,
      ...(agentSocket !== undefined && { SSH_AUTH_SOCK: agentSocket }),
      ...(authorization !== "" && {
        GIT_CONFIG_COUNT: "1",
        GIT_CONFIG_KEY_0: "http.extraHeader",
        GIT_CONFIG_VALUE_0: `Authorization: ${authorization}`,
      }),
    },
  });
  const output: Buffer[] = [];
  const complaints: Buffer[] = [];
  child.stdout.on("data", (bytes: Buffer) => output.push(bytes));
  child.stderr.on("data", (bytes: Buffer) => {
    complaints.push(bytes);
    onOutput(2, bytes);
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  }).catch((error: unknown) => {
    if (!hasErrno(error, "ENOENT")) throw error;
    throw new BuildFailure('unable to find "git" on this machine', undefined, { cause: error });
  });
  if (code === 0) return Buffer.concat(output).toString("utf8").trim();
  throw new GitFailure(args[0] ?? "", Buffer.concat(complaints).toString("utf8"), code);
}
