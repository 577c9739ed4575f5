/**
 * What the brain keeps of a container below the run root, all gone after a reboot:
 *
 *   <run>/c/<id>/            0700
 *     io.sock                streams: attach, exec
 *     shim.sock              control
 *     shim.json              who runs it (RunRecord), from before the process knows of its plan
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { hasErrno, invalidArgument } from "@gantry/errors";

/** What a later brain needs to find a shim process, or to clean up after it. */
export interface RunRecord {
  readonly shimPid: number;
  /** Decimal. */
  readonly shimStartTicks: string;
  readonly bootId: string;
  /** Hex. */
  readonly nonce: string;
  /** Below each hierarchy's root. */
  readonly cgroupPath: string;
  readonly bundlePath: string;
  readonly exitRecordPath: string;
  /** Names of links on the host that this launch makes. */
  readonly hostLinks: readonly string[];
}

/** Paths of one container. */
export interface RunFolder {
  readonly path: string;
  readonly ioSocket: string;
  readonly controlSocket: string;
  /** Makes the folder. */
  create(): void;
  writeRecord(record: RunRecord): void;
  /** Undefined when nothing was launched, or not to the end of writing. */
  readRecord(): RunRecord | undefined;
  /** Removes the folder and everything in it. */
  remove(): void;
}

const idForm = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/;

/** Throws invalid_argument for an ID that could lead elsewhere. */
export function runFolder(runRoot: string, id: string): RunFolder {
  if (!idForm.test(id)) throw invalidArgument(`invalid container id ${JSON.stringify(id)}`);
  const folder = path.join(runRoot, "c", id);
  const recordFile = path.join(folder, "shim.json");
  return {
    path: folder,
    ioSocket: path.join(folder, "io.sock"),
    controlSocket: path.join(folder, "shim.sock"),
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
