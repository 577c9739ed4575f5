/** Batches of progress as messages of the Status stream. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  StatusResponseSchema,
  VertexSchema,
  VertexStatusSchema,
  VertexWarningSchema,
} from "@gantry/proto/buildkit";
import type { BuildWarning, VertexState, VertexStatus } from "../../ports/progress.ts";
import type { ProgressEvent } from "./progress-log.ts";

type StatusInit = MessageInitShape<typeof StatusResponseSchema>;
type VertexInit = MessageInitShape<typeof VertexSchema>;
type VertexStatusInit = MessageInitShape<typeof VertexStatusSchema>;
type WarningInit = MessageInitShape<typeof VertexWarningSchema>;
type LogInit = NonNullable<StatusInit["logs"]>[number];

/** The Dockerfile, which warnings point into. */
export interface WarningSource {
  readonly filename: string;
  readonly data: Uint8Array;
}

/** One message with what is newest of each vertex and status line, and all logs and warnings. */
export function statusMessage(
  events: readonly ProgressEvent[],
  sourceOf: () => WarningSource | undefined,
): StatusInit {
  const vertexes = new Map<string, VertexInit>();
  const statuses = new Map<string, VertexStatusInit>();
  const logs: LogInit[] = [];
  const warnings: WarningInit[] = [];
  for (const event of events) {
    switch (event.kind) {
      case "vertex":
        vertexes.set(event.vertex.digest, encodeVertex(event.vertex));
        break;
      case "status":
        statuses.set(
          `${event.vertex} ${event.status.id}`,
          encodeStatus(event.vertex, event.status),
        );
        break;
      case "log":
        logs.push({
          vertex: event.vertex,
          timestamp: timestamp(event.timeNano),
          stream: BigInt(event.stream),
          msg: new Uint8Array(event.bytes),
        });
        break;
      case "warning":
        warnings.push(encodeWarning(event.vertex, event.warning, sourceOf()));
        break;
    }
  }
  return {
    vertexes: [...vertexes.values()],
    statuses: [...statuses.values()],
    logs,
    warnings,
  };
}

/** Nanoseconds since 1970 as the protocol's time. */
export function timestamp(nano: bigint): { seconds: bigint; nanos: number } {
  return { seconds: nano / 1_000_000_000n, nanos: Number(nano % 1_000_000_000n) };
}

function encodeVertex(vertex: VertexState): VertexInit {
  const { digest, inputs, name, cached, startedNano, completedNano, error } = vertex;
  return {
    digest,
    inputs: [...inputs],
    name,
    cached,
    error,
    ...(startedNano !== undefined && { started: timestamp(startedNano) }),
    ...(completedNano !== undefined && { completed: timestamp(completedNano) }),
  };
}

function encodeStatus(vertex: string, status: VertexStatus): VertexStatusInit {
  const { id, name, current, total, startedNano, completedNano } = status;
  return {
    id,
    vertex,
    name,
    current: BigInt(current),
    total: BigInt(total),
    timestamp: timestamp(BigInt(Date.now()) * 1_000_000n),
    started: timestamp(startedNano),
    ...(completedNano !== undefined && { completed: timestamp(completedNano) }),
  };
}

function encodeWarning(
  vertex: string,
  { short, detail, url, lines }: BuildWarning,
  source: WarningSource | undefined,
): WarningInit {
  const encode = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);
  return {
    vertex,
    level: 1n,
    short: encode(short),
    detail: detail.map(encode),
    url,
    ...(source !== undefined && {
      info: {
        filename: source.filename,
        data: new Uint8Array(source.data),
        language: "Dockerfile",
      },
    }),
    ...(lines !== undefined && {
      ranges: [{ start: { line: lines.first }, end: { line: lines.last } }],
    }),
  };
}
