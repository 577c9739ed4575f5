/** The record of a run that its shim process writes before it tells anybody. */
import { type FileHandle, readFile } from "node:fs/promises";
import path from "node:path";
import { create } from "@bufbuild/protobuf";
import { hasErrno } from "@gantry/errors";
import { openOverwritten, syncFolder } from "@gantry/fs";
import { type Exited, ExitedSchema } from "@gantry/proto/shim";
import type { ExitRecord, ExitRecords } from "../ports.ts";

/** Exit records as files. */
export const exitRecordFiles: ExitRecords = { read: readExitRecord, reserve: reserveExitRecord };

async function readExitRecord(file: string): Promise<ExitRecord | undefined> {
  if (file === "") return undefined;
  try {
    return parse(JSON.parse(await readFile(file, "utf8")));
  } catch (error) {
    if (hasErrno(error, "ENOENT") || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function parse(value: unknown): ExitRecord | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const fields = value as Readonly<Record<string, unknown>>;
  const { nonce, pid } = fields;
  const exited = parseExited(fields);
  const startedAtNano = decimal(fields["startedNano"]) ?? exited?.timeNano ?? 0n;
  // Zeros until the program begins.
  if (startedAtNano === 0n) return undefined;
  return {
    nonce: typeof nonce === "string" ? nonce : "",
    started: {
      pid: typeof pid === "number" ? pid : 0,
      pidStartTicks: decimal(fields["pidStartTicks"]) ?? 0n,
      startedAtNano,
    },
    exited,
  };
}

function parseExited(fields: Readonly<Record<string, unknown>>): Exited | undefined {
  const { exitCode, signal, oomKilled } = fields;
  const timeNano = decimal(fields["timeNano"]);
  if (typeof exitCode !== "number" || timeNano === undefined) return undefined;
  return create(ExitedSchema, {
    exitCode,
    signal: typeof signal === "number" ? signal : 0,
    oomKilled: oomKilled === true,
    timeNano,
  });
}

function decimal(value: unknown): bigint | undefined {
  return typeof value === "string" && /^\d+$/.test(value) ? BigInt(value) : undefined;
}

/** The shim process looks for exactly this size. */
const reservedBytes = 512;

async function reserveExitRecord(file: string): Promise<void> {
  if (file === "") return;
  const handle = await openOverwritten(file, " ".repeat(reservedBytes), 0o600);
  void makeDurable(handle, path.dirname(file));
}

/** A block that is not on disk yet only costs the process more at the end, which reports what fails. */
async function makeDurable(handle: FileHandle, folder: string): Promise<void> {
  try {
    await using _closed = handle;
    await handle.sync();
    await syncFolder(folder);
  } catch {
    // Nothing depends on it; closing reports what the disk refused, too.
  }
}
