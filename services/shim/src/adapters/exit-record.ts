/** The exit record that a shim process writes before it tells anybody. */
import { readFile, rm } from "node:fs/promises";
import { create } from "@bufbuild/protobuf";
import { hasErrno } from "@gantry/errors";
import { ExitedSchema } from "@gantry/proto/shim";
import type { ExitRecord, ExitRecords } from "../ports.ts";

/** Exit records as files. */
export const exitRecordFiles: ExitRecords = { read: readExitRecord, remove: removeExitRecord };

async function readExitRecord(path: string): Promise<ExitRecord | undefined> {
  if (path === "") return undefined;
  try {
    return parse(JSON.parse(await readFile(path, "utf8")));
  } catch (error) {
    if (hasErrno(error, "ENOENT") || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function parse(value: unknown): ExitRecord | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const fields = value as Readonly<Record<string, unknown>>;
  const { nonce, exitCode, signal, oomKilled, timeNano } = fields;
  if (typeof exitCode !== "number" || typeof timeNano !== "string" || !/^\d+$/.test(timeNano))
    return undefined;
  return {
    nonce: typeof nonce === "string" ? nonce : "",
    exited: create(ExitedSchema, {
      exitCode,
      signal: typeof signal === "number" ? signal : 0,
      oomKilled: oomKilled === true,
      timeNano: BigInt(timeNano),
    }),
  };
}

async function removeExitRecord(path: string): Promise<void> {
  if (path !== "") await rm(path, { force: true });
}
