import { type ErrorKind, kinds } from "./kinds.ts";

/** Kinds that a bare gRPC code falls back to when no detail came with it. */
const fallbackByCode: ReadonlyMap<number, ErrorKind> = new Map<number, ErrorKind>([
  ...kindNames().map((kind): [number, ErrorKind] => [kinds[kind].grpc, kind]),
  // Code 9 stands for two kinds: bare, it means the commoner one.
  [kinds.conflict.grpc, "conflict"],
  [11, "invalid_argument"],
  [10, "conflict"],
]);

/** All kinds, in the order of the table. */
export function kindNames(): ErrorKind[] {
  return Object.keys(kinds) as ErrorKind[];
}

/** gRPC status code of a kind. */
export function grpcCode(kind: ErrorKind): number {
  return kinds[kind].grpc;
}

/** HTTP status of a kind, in Docker's API. */
export function httpStatus(kind: ErrorKind): number {
  return kinds[kind].http;
}

/** Kind of a gRPC status code that came without our detail. */
export function kindOfGrpcCode(code: number): ErrorKind {
  return fallbackByCode.get(code) ?? "internal";
}
