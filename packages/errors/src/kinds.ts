/**
 * The one table of error kinds: what the caller should do, and how the kind looks on each wire.
 * gRPC codes and HTTP statuses are read from here and nowhere else, so they cannot drift apart.
 */

/** How one kind looks on the wires, and for people. */
export interface KindRow {
  /** gRPC status code, by number. */
  readonly grpc: number;
  /** HTTP status of Docker's API. */
  readonly http: number;
  /** What the kind is for, in docs/errors.md. */
  readonly use: string;
}

export const kinds = {
  invalid_argument: {
    grpc: 3,
    http: 400,
    use: "bad input, whatever the state",
  },
  unauthenticated: {
    grpc: 16,
    http: 401,
    use: "registry or peer credentials missing or wrong",
  },
  permission_denied: { grpc: 7, http: 403, use: "refused by a rule" },
  not_found: {
    grpc: 5,
    http: 404,
    use: "no such image, container, network, volume or exec",
  },
  already_exists: { grpc: 6, http: 409, use: "a name is in use" },
  conflict: {
    grpc: 9,
    http: 409,
    use: "wrong state now, for example removing a running container",
  },
  not_modified: {
    grpc: 9,
    http: 304,
    use: "already as asked: start a started, stop a stopped",
  },
  resource_exhausted: {
    grpc: 8,
    http: 429,
    use: "a limit was reached, here or at a registry",
  },
  not_implemented: { grpc: 12, http: 501, use: "not supported" },
  unavailable: {
    grpc: 14,
    http: 503,
    use: "a peer is down, and did not come back while the call waited: 10 s after it went, else 0.3 s",
  },
  deadline_exceeded: { grpc: 4, http: 500, use: "ran out of time" },
  canceled: { grpc: 1, http: 499, use: "the caller went away; logged only" },
  data_loss: {
    grpc: 15,
    http: 500,
    use: "stored bytes do not match their digest",
  },
  internal: { grpc: 13, http: 500, use: "a fault of ours or of the machine" },
} as const satisfies Record<string, KindRow>;

/** What the caller should do about an error. A closed set: see the table. */
export type ErrorKind = keyof typeof kinds;

/** Whether a word that came from outside is one of our kinds. */
export function isErrorKind(word: string): word is ErrorKind {
  return Object.hasOwn(kinds, word);
}
