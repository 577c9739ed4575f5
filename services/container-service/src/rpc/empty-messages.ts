/** Messages for callers that leave a whole part out. */
import { create } from "@bufbuild/protobuf";
import { type HostConfig, HostConfigSchema } from "@gantry/proto/container";

export function emptyHostConfig(): HostConfig {
  return create(HostConfigSchema);
}
