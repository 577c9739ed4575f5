/** What a build leaves in the history. */

import { createHash } from "node:crypto";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import { nowNano } from "@gantry/events";
import { formatPlatform } from "@gantry/oci";
import {
  type BuildHistoryRecord,
  BuildHistoryRecordSchema,
  type BuildResultInfo,
  BuildResultInfoSchema,
  type Descriptor,
  DescriptorSchema,
  type SolveRequest,
  type Status,
  StatusResponseSchema,
  StatusSchema,
} from "@gantry/proto/buildkit";
import type { Solved } from "../control/bridge.ts";
import type { Job } from "../control/job.ts";
import { statusMessage, timestamp } from "../progress/status-message.ts";
import type { ExporterRequest, ExporterResponse } from "../solve/export-context.ts";
import { toWireFailure } from "../wire/failure.ts";
import type { BuildHistory, HistoryBlob } from "./build-history.ts";

/** A build that is being recorded: filled in as it goes on. */
export class Recording {
  readonly #history: BuildHistory;
  readonly #job: Job;
  readonly #record: BuildHistoryRecord;
  readonly #blobs: HistoryBlob[] = [];
  #solved: Solved | undefined;

  constructor(
    history: BuildHistory,
    job: Job,
    request: Pick<SolveRequest, "ref" | "frontend" | "frontendAttrs">,
    exporters: readonly ExporterRequest[],
  ) {
    this.#history = history;
    this.#job = job;
    this.#record = create(BuildHistoryRecordSchema, {
      ref: request.ref,
      frontend: request.frontend,
      frontendAttrs: request.frontendAttrs,
      exporters: exporters.map(({ type, attrs }) => ({ type, attrs: { ...attrs } })),
      createdAt: timestamp(nowNano()),
    });
    history.begin(this.#record);
  }

  /** The frontend that the client drives is known when it asks for it. */
  frontend(name: string, attrs: Readonly<Record<string, string>>): void {
    this.#record.frontend = name;
    this.#record.frontendAttrs = { ...attrs };
  }

  /** It has a result, which may yet fail to be exported. */
  built(solved: Solved): void {
    this.#solved = solved;
  }

  /** Runs the build. The answer is what its exporters say. */
  async of(build: () => Promise<ExporterResponse>): Promise<ExporterResponse> {
    const response = await build().catch(async (error: unknown) => {
      await this.#fail(error);
      throw error;
    });
    await this.#close({ ...response }, undefined);
    return response;
  }

  async #fail(error: unknown): Promise<void> {
    const { code, message, failureDetails } = toWireFailure(error);
    const details = failureDetails.map(({ typeUrl, value }) => ({
      ...{ typeUrl, value: new Uint8Array(value) },
    }));
    await this.#close({}, { code, message, details });
  }

  async #close(
    exporterResponse: Record<string, string>,
    error: MessageInitShape<typeof StatusSchema> | undefined,
  ): Promise<void> {
    this.#job.progress.end();
    const { total, cached, completed, warnings } = this.#job.progress.counts();
    const record = create(BuildHistoryRecordSchema, {
      ...this.#record,
      completedAt: create(TimestampSchema, timestamp(nowNano())),
      exporterResponse,
      ...(error !== undefined && this.#failure(create(StatusSchema, error))),
      ...{ numTotalSteps: total, numCachedSteps: cached, numCompletedSteps: completed },
      numWarnings: warnings,
      logs: this.#keep("application/vnd.buildkit.status.v0", await this.#status()),
    });
    this.#attest(record);
    await this.#history.end(record, this.#blobs);
  }

  /** Lists show what it was; who asks for more finds the places and the step in the details. */
  #failure(error: Status): Pick<BuildHistoryRecord, "error" | "externalError"> {
    const bytes = toBinary(StatusSchema, error);
    const externalError = this.#keep("application/vnd.googeapis.google.rpc.status+proto", bytes);
    const { code, message } = error;
    return { error: create(StatusSchema, { code, message }), externalError };
  }

  #attest(record: BuildHistoryRecord): void {
    const solved = this.#solved;
    if (solved === undefined) return;
    for (const { platform } of solved.result.platforms) {
      const told = solved.predicate(platform);
      const annotations = { "in-toto.io/predicate-type": told.type };
      const descriptor = this.#keep("application/vnd.in-toto+json", told.bytes, annotations);
      const info: BuildResultInfo = create(BuildResultInfoSchema, { attestations: [descriptor] });
      if (solved.multiPlatform) record.results[formatPlatform(platform)] = info;
      else record.result = info;
    }
  }

  #keep(
    mediaType: string,
    content: Uint8Array,
    annotations: Readonly<Record<string, string>> = {},
  ): Descriptor {
    const digest = `sha256:${createHash("sha256").update(content).digest("hex")}`;
    this.#blobs.push({ digest, content });
    const size = BigInt(content.length);
    return create(DescriptorSchema, { mediaType, digest, size, annotations: { ...annotations } });
  }

  /** Everything that was told, each message behind its length. */
  async #status(): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    const { progress, source } = this.#job;
    for await (const batch of progress.batches(new AbortController().signal)) {
      const message = create(
        StatusResponseSchema,
        statusMessage(batch, () => source),
      );
      const bytes = toBinary(StatusResponseSchema, message);
      const length = Buffer.alloc(4);
      length.writeUInt32LE(bytes.length);
      parts.push(length, bytes);
    }
    return Buffer.concat(parts);
  }
}
