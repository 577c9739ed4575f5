/** Failures as BuildKit's clients read them: a gRPC status with details that hold JSON. */
import { grpcCode, toEngineError } from "@gantry/errors";
import { BuildError, type ErrorPlace } from "../../ports/build.ts";

/** One detail of a status. */
export interface FailureDetail {
  readonly typeUrl: string;
  readonly value: Uint8Array;
}

/** gRPC codes that we name. */
export const codes = { canceled: 1, unknown: 2, notFound: 5, unimplemented: 12 } as const;

/** A failure with everything that goes to the client. */
export class WireFailure extends Error {
  override readonly name = "WireFailure";
  readonly code: number;
  readonly failureDetails: readonly FailureDetail[];

  constructor(
    code: number,
    message: string,
    details: readonly FailureDetail[] = [],
    cause?: unknown,
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.failureDetails = details;
  }
}

/** A detail of BuildKit's own kinds: their values are JSON, not protobuf. */
export function jsonDetail(name: string, value: object): FailureDetail {
  return {
    typeUrl: `github.com/moby/buildkit/${name}`,
    value: new TextEncoder().encode(JSON.stringify(value)),
  };
}

/** Any caught value as a failure of the wire. */
export function toWireFailure(caught: unknown): WireFailure {
  if (caught instanceof WireFailure) return caught;
  if (caught instanceof BuildError) return ofBuild(caught);
  const error = toEngineError(caught);
  // Go's words for a context that was cancelled are what clients look for.
  if (error.kind === "canceled") {
    return new WireFailure(codes.canceled, "context canceled", [], caught);
  }
  const code = error.kind === "internal" ? codes.unknown : grpcCode(error.kind);
  return new WireFailure(code, error.message, [], caught);
}

function ofBuild(error: BuildError): WireFailure {
  const { place, vertex, exitCode } = error;
  const details = [
    ...(vertex === "" ? [] : [jsonDetail("errdefs.Vertex+json", { digest: vertex })]),
    ...(exitCode === undefined
      ? []
      : [jsonDetail("gatewayapi.ExitMessage+json", { Code: exitCode })]),
    ...(place === undefined ? [] : sourcesOf(place)),
  ];
  return new WireFailure(codes.unknown, error.message, details, error);
}

function sourcesOf({ file, source, lines, before = [] }: ErrorPlace): FailureDetail[] {
  const info = {
    filename: file,
    data: Buffer.from(source).toString("base64"),
    language: "Dockerfile",
  };
  // Clients show the last one first.
  return [lines, ...before.toReversed()].map(({ first, last }) =>
    jsonDetail("errdefs.Source+json", {
      info,
      ranges: [{ start: { line: first }, end: { line: last } }],
    }),
  );
}
