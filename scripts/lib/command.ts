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
  /** Show nothing: this gets all output, in one piece, when the program has ended. */
  readonly collect?: (output: string) => void;
}

/** Runs a program to its end; returns its exit code. */
export async function runCommand(
  argv: readonly string[],
  options: CommandOptions = {},
): Promise<number> {
  const [program = "", ...args] = argv;
  const { quiet = false, collect } = options;
  const isShown = !quiet && collect === undefined;
  const child = spawn(program, args, {
    cwd: options.cwd ?? root,
    env: { ...process.env, ...options.env },
    stdio: isShown ? ["ignore", "inherit", "inherit"] : ["ignore", "pipe", "pipe"],
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
  const text = Buffer.concat(output).toString();
  if (code !== 0 && quiet) complain(lastLines(text));
  collect?.(text);
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
