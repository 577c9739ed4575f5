/** What the tests of the addon share. */
import assert from "node:assert/strict";
import { fstatSync, mkdtempSync, readdirSync, readlinkSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before } from "node:test";
import { rejection as rejectionOf } from "@gantry/testkit/rejection";
import { type ChildExit, type Kernel, type KernelError, loadKernel } from "../lib/index.ts";

export const kernel: Kernel = loadKernel();
export const sigkill = 9;
export const oPath = 0o10000000;

/** A folder of the test file's own, while its tests run. */
export function ownFolder(): { readonly path: string } {
  const folder = { path: "" };
  before(() => {
    folder.path = mkdtempSync(path.join(tmpdir(), "gantry-addon-"));
  });
  after(() => {
    rmSync(folder.path, { recursive: true, force: true });
  });
  return folder;
}

/** What a call was refused with. */
export function failure(act: () => unknown): KernelError {
  try {
    act();
  } catch (error) {
    return error as KernelError;
  }
  throw new assert.AssertionError({ message: "did not fail" });
}

/** What a promise was rejected with. */
export const rejection = rejectionOf<KernelError>;

/** What every descriptor is; others than ours may close meanwhile, but none may be added. */
export function openFds(): Set<string> {
  const names = readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return [`${fd} ${readlinkSync(`/proc/self/fd/${fd}`)}`];
    } catch {
      return [];
    }
  });
  return new Set(names);
}

/** Descriptors that are new since then. */
export const added = (before: Set<string>): string[] => [...openFds().difference(before)];

/** Runs a program with its output in a memfd. */
export async function run(
  program: string,
  argv: string[],
  env: string[] = [],
): Promise<{ exit: ChildExit | undefined; output: string }> {
  const executable = kernel.sealExecutable(program);
  const output = kernel.memfd("output", new Uint8Array(), false);
  try {
    const { pidfd } = kernel.launch({
      executable,
      argv,
      env,
      fds: [
        [1, output],
        [2, output],
      ],
    });
    const exit = await new Promise<ChildExit | undefined>((resolve) =>
      kernel.watchPidfd(pidfd, resolve),
    );
    kernel.closeFd(pidfd);
    const buffer = Buffer.alloc(fstatSync(output).size);
    readSync(output, buffer, 0, buffer.length, 0);
    return { exit, output: buffer.toString() };
  } finally {
    kernel.closeFd(executable);
    kernel.closeFd(output);
  }
}
