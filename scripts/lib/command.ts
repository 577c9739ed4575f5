/** Running programs from scripts, with their output on ours. */
import { spawn } from "node:child_process";
import { complain } from "@gantry/logging";
import { root } from "./repository.ts";

/** Options of runCommand. */
export interface CommandOptions {
  readonly cwd?: string;
  /** More variables of the environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Show nothing unless it fails. Default false. */
  readonly quiet?: boolean;
}

/** Runs a program to its end; returns its exit code. */
export async function runCommand(
  argv: readonly string[],
  options: CommandOptions = {},
): Promise<number> {
  const [program = "", ...args] = argv;
  const quiet = options.quiet ?? false;
  const child = spawn(program, args, {
    cwd: options.cwd ?? root,
    env: { ...process.env, ...options.env },
    stdio: quiet ? ["ignore", "pipe", "pipe"] : ["ignore", "inherit", "inherit"],
  });
  const output: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on("data", (chunk: Buffer) => output.push(chunk));
  }
  const code = await new Promise<number>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (exit) => {
      resolve(exit ?? 1);
    });
  });
  if (code !== 0 && quiet) complain(lastLines(Buffer.concat(output).toString()));
  return code;
}

/** The end of what a program printed, where its error is. */
function lastLines(text: string): string {
  return text.trimEnd().split("\n").slice(-40).join("\n");
}

/** Runs a program; an exit code other than 0 is an error. */
export async function mustRun(
  argv: readonly string[],
  options: CommandOptions = {},
): Promise<void> {
  const code = await runCommand(argv, options);
  if (code !== 0) throw new Error(`${argv.join(" ")} exited with ${String(code)}`);
}
