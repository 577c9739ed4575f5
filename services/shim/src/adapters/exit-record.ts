/** The exit record that a shim process writes before it tells anybody. */
import { readFile, rm } from "node:fs/promises";
import { create } from "@bufbuild/protobuf";
import { hasErrno } from "@gantry/errors";
import { type Exited, ExitedSchema } from "@gantry/proto/shim";

/** What the file says. */
export interface ExitRecord {
  /** Hex; tells launches of one container apart. */
  readonly nonce: string;
  readonly exited: Exited;
}

/** Undefined when there is none, or none that can be read: then the process was cut off while writing its first. */
export async function readExitRecord(path: string): Promise<ExitRecord | undefined> {
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

/** Removes the record of an earlier launch, so that it is never taken for this one's. */
export async function removeExitRecord(path: string): Promise<void> {
  if (path !== "") await rm(path, { force: true });
}
