export {
  EngineError,
  type EngineErrorOptions,
  type ErrorDetails,
  hasKind,
  isEngineError,
} from "./engine-error.ts";
export {
  alreadyExists,
  canceled,
  conflict,
  dataLoss,
  deadlineExceeded,
  internal,
  invalidArgument,
  notFound,
  notImplemented,
  notModified,
  permissionDenied,
  resourceExhausted,
  unauthenticated,
  unavailable,
} from "./factories.ts";
export { type ErrorKind, isErrorKind, type KindRow, kinds } from "./kinds.ts";
export { errnoKind, hasErrno } from "./node-errno.ts";
export { resolveKind, toEngineError } from "./resolve.ts";
export { sqliteError, sqliteFull } from "./sqlite.ts";
export { errnoText } from "./system-call.ts";
export { grpcCode, httpStatus, kindNames, kindOfGrpcCode } from "./wire.ts";
