/**
 * What the brain keeps of a container below the run root, all gone after a reboot:
 *
 *   <run>/c/<id>/            0700
 *     io.sock                streams: attach, exec
 *     shim.sock              control
 *     shim.json              who runs it (RunRecord), from before the process knows of its plan
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hasErrno, invalidArgument } from "@gantry/errors";
import type { RunFolder, RunRecord } from "../ports.ts";

const idForm = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/;

/** Throws invalid_argument for an ID that could lead elsewhere. */
export function runFolder(runRoot: string, id: string): RunFolder {
  if (!idForm.test(id)) throw invalidArgument(`invalid container id ${JSON.stringify(id)}`);
  const folder = `${runRoot}/c/${id}`;
  const recordFile = `${folder}/shim.json`;
  return {
    path: folder,
    ioSocket: `${folder}/io.sock`,
    controlSocket: `${folder}/shim.sock`,
    hasControlSocket: () => existsSync(`${folder}/shim.sock`),
    create: () => {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
    },
    writeRecord: (record) => {
      // Lives in memory and is read only after a crash of ours: no fsync.
      writeFileSync(recordFile, JSON.stringify(record), { mode: 0o600 });
    },
    readRecord: () => readRecord(recordFile),
    remove: () => {
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function readRecord(file: string): RunRecord | undefined {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as RunRecord;
  } catch (error) {
    if (hasErrno(error, "ENOENT") || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
