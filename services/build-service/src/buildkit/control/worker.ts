/** The one worker there is: this engine. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { hostPlatform } from "@gantry/oci";
import type { BuildkitVersionSchema, WorkerRecordSchema } from "@gantry/proto/buildkit";
import type { GcRule } from "../../app/gc-policy.ts";

/** The version of BuildKit whose behaviour this builder has. */
export const builderVersion: MessageInitShape<typeof BuildkitVersionSchema> = {
  package: "gantry/build-service",
  version: "v0.25.2",
  revision: "",
  dockerfileVersion: "1.19.0",
};

/** What ListWorkers says. */
export function workerRecord(
  policy: readonly GcRule[],
): MessageInitShape<typeof WorkerRecordSchema> {
  const { os, architecture } = hostPlatform();
  return {
    id: "gantry",
    labels: {
      "org.mobyproject.buildkit.worker.executor": "gantry",
      // Says that images are kept as they are pulled: several platforms, attestations.
      "org.mobyproject.buildkit.worker.snapshotter": "overlayfs",
    },
    platforms: [{ os, architecture }],
    gcPolicy: policy.map((rule) => ({
      all: rule.all,
      keepDuration: BigInt(rule.keepDurationMs) * 1_000_000n,
      filters: [...rule.filters],
      reservedSpace: BigInt(rule.reservedBytes),
      maxUsedSpace: BigInt(rule.maxUsedBytes),
      minFreeSpace: BigInt(rule.minFreeBytes),
    })),
    buildkitVersion: builderVersion,
  };
}
