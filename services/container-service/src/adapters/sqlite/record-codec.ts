/**
 * Records as columns. User's configuration is the protobuf message, which grows without migrations;
 * facts and progress are JSON with 64-bit integers as `{"$bigint": "…"}`. Folders of the root file system are kept
 * relative to the engine's data, which may be moved while it is stopped.
 */
import path from "node:path";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { ContainerConfigSchema, HostConfigSchema } from "@gantry/proto/container";
import type {
  ContainerFacts,
  ContainerProgress,
  ContainerRecord,
  RootfsMount,
} from "../../domain/container-record.ts";

/** A row of `containers`. */
export interface ContainerRow {
  readonly id: string;
  readonly name: string;
  readonly config: Uint8Array;
  readonly host_config: Uint8Array;
  readonly facts: string;
  readonly progress: string;
}

/** `dataRoot` is the folder of all services' data. */
export function encodeRecord(record: ContainerRecord, dataRoot: string): ContainerRow {
  return {
    id: record.id,
    name: record.name,
    config: encodeConfig(record),
    host_config: encodeHostConfig(record),
    facts: encodeFacts(record, dataRoot),
    progress: encodeProgress(record),
  };
}

export function encodeConfig(record: ContainerRecord): Uint8Array {
  return toBinary(ContainerConfigSchema, record.config);
}

export function encodeHostConfig(record: ContainerRecord): Uint8Array {
  return toBinary(HostConfigSchema, record.hostConfig);
}

export function encodeFacts(record: ContainerRecord, dataRoot: string): string {
  const { createdNano, path: command, args, image, buildStep } = record;
  const rootfs = mapFolders(record.rootfs, (folder) => withoutRoot(folder, dataRoot));
  return encodeJson({
    ...{ createdNano, path: command, args, image, rootfs },
    ...(buildStep && { buildStep }),
  } satisfies ContainerFacts);
}

function mapFolders(rootfs: RootfsMount, map: (folder: string) => string): RootfsMount {
  return {
    lowerDirs: rootfs.lowerDirs.map(map),
    upperDir: map(rootfs.upperDir),
    workDir: map(rootfs.workDir),
    mountpoint: map(rootfs.mountpoint),
  };
}

function withoutRoot(folder: string, dataRoot: string): string {
  return folder.startsWith(`${dataRoot}/`) ? folder.slice(dataRoot.length + 1) : folder;
}

/** Empty: there is none. */
function withRoot(folder: string, dataRoot: string): string {
  return folder === "" || path.isAbsolute(folder) ? folder : `${dataRoot}/${folder}`;
}

export function encodeProgress(record: ContainerRecord): string {
  const { state, restartCount, manuallyStopped } = record;
  return encodeJson({ state, restartCount, manuallyStopped } satisfies ContainerProgress);
}

export function decodeRecord(row: ContainerRow, dataRoot: string): ContainerRecord {
  const facts = decodeJson(row.facts) as ContainerFacts;
  return {
    id: row.id,
    name: row.name,
    config: fromBinary(ContainerConfigSchema, row.config),
    hostConfig: fromBinary(HostConfigSchema, row.host_config),
    ...facts,
    rootfs: mapFolders(facts.rootfs, (folder) => withRoot(folder, dataRoot)),
    ...(decodeJson(row.progress) as ContainerProgress),
  };
}

/** JSON with bigints. */
export function encodeJson(value: unknown): string {
  return JSON.stringify(value, (_key, each: unknown) =>
    typeof each === "bigint" ? { $bigint: each.toString() } : each,
  );
}

export function decodeJson(text: string): unknown {
  return JSON.parse(text, (_key, each: unknown) =>
    isTaggedBigint(each) ? BigInt(each.$bigint) : each,
  );
}

function isTaggedBigint(value: unknown): value is { $bigint: string } {
  return typeof value === "object" && value !== null && "$bigint" in value;
}
