/** docs/errors.md, from the one table of error kinds. */
import { kindNames, kinds } from "@gantry/errors";

/** gRPC's names of its status codes. */
const grpcNames: Readonly<Record<number, string>> = {
  1: "CANCELLED",
  3: "INVALID_ARGUMENT",
  4: "DEADLINE_EXCEEDED",
  5: "NOT_FOUND",
  6: "ALREADY_EXISTS",
  7: "PERMISSION_DENIED",
  8: "RESOURCE_EXHAUSTED",
  9: "FAILED_PRECONDITION",
  12: "UNIMPLEMENTED",
  13: "INTERNAL",
  14: "UNAVAILABLE",
  15: "DATA_LOSS",
  16: "UNAUTHENTICATED",
};

const intro = `# Errors

<!-- Made by \`npm run generate\` from packages/errors/src/kinds.ts. Do not edit. -->

Every failed call has a *kind*, which says what the caller should do about it. It is the same word on every wire:

- in code: \`EngineError.kind\`, by the factories of \`@gantry/errors\`. Match the kind, never the message.
- over gRPC: \`gantry.error.v1.ErrorDetail.kind\`, in the binary trailer \`gantry-error-bin\` and in
  \`grpc-status-details-bin\`. The bare status code is only the fallback, since two kinds share code 9.
- over Docker's HTTP API: the status, with \`{"message": …}\` in Docker's words.

The outermost kind of a chain of causes wins; an error without one is \`internal\`. Causes are logged and never sent.

| kind | gRPC | HTTP | used for |
|---|---|---|---|
`;

const outro = `
A \`not_modified\` answer has no body. \`canceled\` is never seen by a client: it went away; 499 stands in the log only.
`;

/** The whole page. */
export function renderErrorsPage(): string {
  const rows = kindNames().map((kind) => {
    const { grpc, http, use } = kinds[kind];
    return `| \`${kind}\` | ${grpc} ${grpcNames[grpc] ?? ""} | ${http} | ${use} |\n`;
  });
  return intro + rows.join("") + outro;
}
