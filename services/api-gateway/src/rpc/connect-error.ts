/** Errors on the Connect side of the wire: the code, the message, and our detail in both of its forms. */
import { create, toBinary } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import { grpcCode, toEngineError } from "@gantry/errors";
import { ErrorDetailSchema } from "@gantry/proto/error";

/** Any caught value. gRPC's codes and Connect's are the same numbers. */
export function toConnectError(caught: unknown): ConnectError {
  if (caught instanceof ConnectError) return caught;
  const error = toEngineError(caught);
  const detail = create(ErrorDetailSchema, {
    kind: error.kind,
    resourceType: error.details.resourceType ?? "",
    resourceId: error.details.resourceId ?? "",
    exitCode: error.details.exitCode ?? 0,
  });
  const bytes = Buffer.from(toBinary(ErrorDetailSchema, detail)).toString("base64");
  return new ConnectError(
    error.message,
    grpcCode(error.kind),
    { "gantry-error-bin": bytes },
    [{ desc: ErrorDetailSchema, value: detail }],
    error,
  );
}
