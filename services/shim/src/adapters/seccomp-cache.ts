/**
 * Compiled seccomp programs by hash of their profile, in memory and in files
 * `<cacheDir>/<sha256>.bpf`. The key holds everything that a program depends on, so files are
 * never stale; one that is damaged is compiled anew.
 */
import { createHash } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import path from "node:path";
import { invalidArgument } from "@gantry/errors";
import { writeFileAtomic } from "@gantry/fs";
import type { Logger } from "@gantry/logging";
import { type Kernel, parseSeccomp, seccompFlags } from "@gantry/native";
import type { RuntimeSeccomp } from "@gantry/oci/runtime-spec";
import type { SeccompCompiler, SeccompProgram } from "../ports.ts";

/** Changes when the compiler in native/ makes other programs of the same profile. */
const compilerVersion = 1;
const instructionBytes = 8;
/** BPF_MAXINSNS. */
const maxInstructions = 4096;
/** Programs kept in memory; engines have one or two, tests have more. */
const maxInMemory = 64;

export interface SeccompCacheOptions {
  readonly kernel: Pick<Kernel, "compileSeccomp" | "seccompVersion">;
  readonly cacheDir: string;
  readonly logger: Logger;
}

export function openSeccompCache(options: SeccompCacheOptions): SeccompCompiler {
  const programs = new Map<string, Promise<Uint8Array>>();
  return {
    async compile(profile): Promise<SeccompProgram> {
      // The text itself is the key in memory: hashing it at every launch would cost more than comparing.
      const text = textOf(profile);
      const known = programs.get(text);
      const program = known ?? load(text, profile, options);
      if (known === undefined) {
        remember(programs, text, program);
        // A failure is told to whoever waits, and the next one may try again.
        program.catch(() => programs.delete(text));
      }
      return { program: await program, flags: flagsOf(profile) };
    },
  };
}

function flagsOf(profile: RuntimeSeccomp): number {
  return translate(() => seccompFlags(profile));
}

/** Words that the specification does not have are the caller's fault. */
function translate<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (error instanceof RangeError) throw invalidArgument(error.message, { cause: error });
    throw error;
  }
}

function textOf(profile: RuntimeSeccomp): string {
  try {
    return JSON.stringify(profile);
  } catch {
    // Only bigints are no JSON here.
    return JSON.stringify(profile, (_, value: unknown) =>
      typeof value === "bigint" ? String(value) : value,
    );
  }
}

/** Everything that a program depends on. */
function keyOf(text: string, libraryVersion: string): string {
  const parts = [String(compilerVersion), libraryVersion, process.arch, text];
  return createHash("sha256").update(parts.join("\0")).digest("hex");
}

function remember(
  programs: Map<string, Promise<Uint8Array>>,
  key: string,
  program: Promise<Uint8Array>,
): void {
  const oldest = programs.size >= maxInMemory ? programs.keys().next().value : undefined;
  if (oldest !== undefined) programs.delete(oldest);
  programs.set(key, program);
}

async function load(
  text: string,
  profile: RuntimeSeccomp,
  options: SeccompCacheOptions,
): Promise<Uint8Array> {
  const key = keyOf(text, options.kernel.seccompVersion());
  const file = path.join(options.cacheDir, `${key}.bpf`);
  const stored = await readStored(file);
  if (stored !== undefined) return stored;
  const program = await options.kernel.compileSeccomp(translate(() => parseSeccomp(profile)));
  if (program.length > maxInstructions * instructionBytes) {
    throw invalidArgument("seccomp profile is too large for the kernel");
  }
  await store(file, program, options);
  return program;
}

/** Whatever keeps the file from being read, the program can be compiled. */
async function readStored(file: string): Promise<Uint8Array | undefined> {
  try {
    const bytes = await readFile(file);
    const instructions = bytes.length / instructionBytes;
    return Number.isInteger(instructions) && instructions > 0 ? bytes : undefined;
  } catch {
    return undefined;
  }
}

/** A cache that cannot be written only costs time. */
async function store(
  file: string,
  program: Uint8Array,
  options: SeccompCacheOptions,
): Promise<void> {
  try {
    await mkdir(options.cacheDir, { recursive: true, mode: 0o700 });
    await writeFileAtomic(file, program);
  } catch (error) {
    options.logger.warn({ err: error, file }, "seccomp program was not cached");
  }
}
