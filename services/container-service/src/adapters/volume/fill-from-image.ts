/**
 * Copies a directory of an image into a new volume. The copying is done by two sandboxed programs of native/
 * (`unpack pack | unpack apply`); paths of the image are only ever resolved inside it. The copy grows beside the
 * volume's directory, and what it holds goes there when it is whole, so a crash leaves the volume as it was or is made
 * good at the next start. The directory itself stays, since running containers may have it. What is mounted there has
 * no beside: it is filled where it is, and again by the next container that asks for it when that was cut short.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, constants, fstatSync, openSync, readlinkSync } from "node:fs";
import { readdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import type { Readable } from "node:stream";
import { errnoText, internal } from "@gantry/errors";
import type { DescriptorKernel, PathKernel } from "@gantry/native";
import { openFillTarget } from "./fill-target.ts";
import {
  finishFilling,
  halfFilledFile,
  isHalfFilled,
  openCopy,
  takeAttributes,
} from "./finish-filling.ts";
import { openImagePlace } from "./image-place.ts";

/** What is copied, and where to. */
export interface Filling {
  readonly kernel: DescriptorKernel & PathKernel;
  /** Path of the unpack program. */
  readonly unpackProgram: string;
  /** The image's, uppermost first. */
  readonly layers: readonly string[];
  /** Directory that holds the image's file system. */
  readonly view: string;
  /** Path in the image. */
  readonly source: string;
  /** The image or the configuration declares the volume. */
  readonly declared: boolean;
  /** The volume's directory. */
  readonly target: string;
  /** Path below it that is filled, or empty. */
  readonly subpath: string;
  /** Something is mounted on it. */
  readonly inPlace: boolean;
  /** Called once it is known that the image has something at the path, before the volume is looked at. */
  readonly makeReady: () => Promise<void>;
  readonly signal: AbortSignal;
}

/**
 * Nothing happens when the image has nothing at the path, or the volume something.
 * Errors: internal; of a subpath those of resolveSubpath.
 */
export async function fillFromImage(filling: Filling): Promise<void> {
  const { kernel, view } = filling;
  const root = openSync(view, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const source = openImagePlace(kernel, root, view, filling.source);
    if (source === undefined) return;
    try {
      await filling.makeReady();
      using target = await openFillTarget(kernel, filling.target, filling.subpath);
      if (target === undefined || !(await isToFill(filling, target.path))) return;
      checkDirectory(filling, source);
      await fillFrom(filling, root, source, target.path);
    } finally {
      closeSync(source);
    }
  } finally {
    closeSync(root);
  }
}

/** What is empty, or was being filled with the same and not to the end. */
async function isToFill(filling: Filling, target: string): Promise<boolean> {
  if ((await readdir(target)).length === 0) return true;
  if (!filling.inPlace) return false;
  const folder = path.dirname(filling.target);
  if (await isHalfFilled(folder, contentsOf(filling))) return true;
  // Used as it is.
  await rm(halfFilledFile(folder), { force: true });
  return false;
}

function contentsOf({ layers, source, subpath }: Filling): string {
  return JSON.stringify({ layers, source, subpath });
}

/** In dockerd's words, which name the place on the host. */
function checkDirectory({ declared }: Filling, source: number): void {
  if (fstatSync(source).isDirectory()) return;
  const place = readlinkSync(`/proc/self/fd/${String(source)}`);
  throw internal(
    declared
      ? `cannot mount volume over existing file, file exists ${place}`
      : `source ${place} is not directory`,
  );
}

async function fillFrom(
  filling: Filling,
  root: number,
  source: number,
  target: string,
): Promise<void> {
  const facts = fstatSync(source);
  const isEmpty = (await readdir(`/proc/self/fd/${String(source)}`)).length === 0;
  if (isEmpty) {
    await takeAttributes(target, facts);
    return;
  }
  if (filling.inPlace) {
    const halfFilled = halfFilledFile(path.dirname(filling.target));
    await writeFile(halfFilled, contentsOf(filling));
    await copyContents(filling, root, target);
    await takeAttributes(target, facts);
    await rm(halfFilled);
    return;
  }
  const folder = path.dirname(filling.target);
  const copy = await openCopy(folder, filling.subpath);
  try {
    await copyContents(filling, root, copy.files);
    await takeAttributes(copy.files, facts);
    await copy.complete();
  } catch (error) {
    await copy.drop();
    throw error;
  }
  await finishFilling(filling.kernel, folder, filling.target);
}

async function copyContents(filling: Filling, root: number, copy: string): Promise<void> {
  const { kernel, unpackProgram, signal } = filling;
  const destination = openSync(copy, constants.O_RDONLY | constants.O_DIRECTORY);
  const [reading, writing] = kernel.socketpair();
  const children: ChildProcess[] = [];
  const start = (
    args: string[],
    stdin: number | "ignore",
    stdout: number | "ignore",
    folder: number,
  ): ChildProcess => {
    const child = spawn(unpackProgram, args, {
      stdio: [stdin, stdout, "ignore", folder, "pipe"],
      env: {},
      cwd: "/",
    });
    children.push(child);
    return child;
  };
  const kill = (): void => {
    for (const child of children) child.kill("SIGKILL");
  };
  signal.addEventListener("abort", kill, { once: true });
  try {
    let ended: Promise<void[]>;
    try {
      ended = Promise.all([
        finished(start(["pack", "--path", filling.source], "ignore", writing, root), kill),
        finished(start(["apply", "--path", "/"], reading, "ignore", destination), kill),
      ]);
    } finally {
      kernel.closeFd(reading);
      kernel.closeFd(writing);
    }
    await ended;
    signal.throwIfAborted();
  } finally {
    signal.removeEventListener("abort", kill);
    closeSync(destination);
  }
}

/** Resolves when the program has done its work; after a failure the other one is ended, too. */
async function finished(child: ChildProcess, kill: () => void): Promise<void> {
  const report = readAll(child.stdio[4] as Readable);
  const exitCode = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  if (exitCode === 0) return;
  kill();
  throw internal(`failed to copy files: ${reason(await report, exitCode)}`);
}

async function readAll(stream: Readable): Promise<string> {
  let text = "";
  stream.setEncoding("utf8");
  for await (const chunk of stream as AsyncIterable<string>) text += chunk;
  return text;
}

/** The program's report of its failure. */
interface LastWords {
  readonly message?: string;
  readonly step?: string;
  readonly path?: string;
  /** 0: no system call failed. */
  readonly errno?: number;
}

function reason(report: string, exitCode: number | null): string {
  const last = report.trimEnd().split("\n").at(-1) ?? "";
  if (last === "") return `the program ended with ${String(exitCode)}`;
  const { message = last, step = "", path = "", errno = 0 } = JSON.parse(last) as LastWords;
  return errno === 0 ? message : `${step} ${path}: ${errnoText(errno)}`;
}
