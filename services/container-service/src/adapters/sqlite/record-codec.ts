/**
 * Records as columns. User's configuration is the protobuf message, which grows without migrations;
 * facts and progress are JSON with 64-bit integers as `{"$bigint": "…"}`.
 */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { ContainerConfigSchema, HostConfigSchema } from "@gantry/proto/container";
import type {
  ContainerFacts,
  ContainerProgress,
  ContainerRecord,
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

export function encodeRecord(record: ContainerRecord): ContainerRow {
  return {
    id: record.id,
    name: record.name,
    config: encodeConfig(record),
    host_config: encodeHostConfig(record),
    facts: encodeFacts(record),
    progress: encodeProgress(record),
  };
}

export function encodeConfig(record: ContainerRecord): Uint8Array {
  return toBinary(ContainerConfigSchema, record.config);
}

export function encodeHostConfig(record: ContainerRecord): Uint8Array {
  return toBinary(HostConfigSchema, record.hostConfig);
}

export function encodeFacts(record: ContainerRecord): string {
  const { createdNano, path, args, image, rootfs, buildStep } = record;
  return encodeJson({
    ...{ createdNano, path, args, image, rootfs },
    ...(buildStep && { buildStep }),
  } satisfies ContainerFacts);
}

export function encodeProgress(record: ContainerRecord): string {
  const { state, restartCount, manuallyStopped } = record;
  return encodeJson({ state, restartCount, manuallyStopped } satisfies ContainerProgress);
}

export function decodeRecord(row: ContainerRow): ContainerRecord {
  return {
    id: row.id,
    name: row.name,
    config: fromBinary(ContainerConfigSchema, row.config),
    hostConfig: fromBinary(HostConfigSchema, row.host_config),
    ...(decodeJson(row.facts) as ContainerFacts),
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
