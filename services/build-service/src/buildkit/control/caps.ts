/** What clients are told that this builder knows. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { APICapSchema } from "@gantry/proto/buildkit";

type Cap = MessageInitShape<typeof APICapSchema>;

const enabled = (ids: string): Cap[] => ids.split(/\s+/).map((id) => ({ id, enabled: true }));

/** Of the gateway. */
export const frontendCaps: Cap[] = enabled(
  "solve.base solve.inlinereturn return returnmap proto.refarray reference.output frontend.inputs " +
    "gateway.solve.metadata frontend.caps gateway.solve.evaluate gateway.evaluate importcaches",
);

/** Of the graph: clients look for a few that say what exporters can do. */
export const llbCaps: Cap[] = enabled(
  "source.image source.local source.local.unique source.local.sessionid source.local.includepatterns " +
    "source.local.followpaths source.local.excludepatterns source.local.sharedkeyhint " +
    "constraints platform meta.ignorecache meta.description meta.exportcache " +
    "exporter.image.attestations exporter.multiple",
);
