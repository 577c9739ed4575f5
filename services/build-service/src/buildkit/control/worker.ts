/** The one worker there is: this engine. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { BuildkitVersionSchema, WorkerRecordSchema } from "@gantry/proto/buildkit";
import type { GcRule } from "../../app/gc-policy.ts";
import type { WorkerFacts } from "../../ports/worker-facts.ts";

const label = "org.mobyproject.buildkit.worker";

/** The version of BuildKit whose behaviour this builder has. */
export const builderVersion: MessageInitShape<typeof BuildkitVersionSchema> = {
  package: "gantry/build-service",
  version: "v0.25.2",
  revision: "",
  dockerfileVersion: "1.19.0",
};

/** What ListWorkers says. */
export async function workerRecord(
  policy: readonly GcRule[],
  facts: WorkerFacts,
  signal: AbortSignal,
): Promise<MessageInitShape<typeof WorkerRecordSchema>> {
  const gateway = await facts.hostGateway(signal);
  return {
    id: "gantry",
    labels: {
      [`${label}.executor`]: "gantry",
      [`${label}.hostname`]: facts.hostname,
      // Clients put it in the place of `host-gateway`.
      ...(gateway !== undefined && { [`${label}.moby.host-gateway-ip`]: gateway }),
      // Says that images are kept as they are pulled: several platforms, attestations.
      [`${label}.snapshotter`]: "overlayfs",
    },
    platforms: facts
      .platforms()
      .map(({ os, architecture, variant = "" }) => ({ os, architecture, variant })),
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
