/** BuildKit's wire protocol, as far as its clients need it here. */
/** Content stores of clients, whose names say little by themselves. */
export * as content from "./gen/containerd/services/content/v1/content_pb.js";
export * from "./gen/fsutil/types/wire_pb.js";
export * from "./gen/google/rpc/status_pb.js";
export * from "./gen/moby/buildkit/secrets/v1/secrets_pb.js";
export * from "./gen/moby/buildkit/v1/apicaps/caps_pb.js";
export * from "./gen/moby/buildkit/v1/control_pb.js";
/** The gateway's messages, several of which are named like the control service's. */
export * as gateway from "./gen/moby/buildkit/v1/frontend/gateway_pb.js";
export * from "./gen/moby/buildkit/v1/sourcepolicy/policy_pb.js";
export * from "./gen/moby/buildkit/v1/types/worker_pb.js";
export * from "./gen/moby/filesync/v1/auth_pb.js";
export { FileSend, FileSync } from "./gen/moby/filesync/v1/filesync_pb.js";
export { SSH } from "./gen/moby/sshforward/v1/ssh_pb.js";
export { Upload } from "./gen/moby/upload/v1/upload_pb.js";
export * from "./gen/pb/ops_pb.js";
