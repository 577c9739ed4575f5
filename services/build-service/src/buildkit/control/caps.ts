/** What clients are told that this builder knows. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { APICapSchema } from "@gantry/proto/buildkit";

type Cap = MessageInitShape<typeof APICapSchema>;

const enabled = (ids: string): Cap[] => ids.split(/\s+/).map((id) => ({ id, enabled: true }));

/** Of the gateway. */
export const frontendCaps: Cap[] = enabled(
  "solve.base solve.inlinereturn return returnmap proto.refarray reference.output frontend.inputs " +
    "gateway.solve.metadata frontend.caps gateway.solve.evaluate gateway.evaluate importcaches " +
    "readfile statfile",
);

/** Of the graph: clients look for a few that say what exporters can do. */
export const llbCaps: Cap[] = enabled(
  "source.image source.local source.local.unique source.local.sessionid source.local.includepatterns " +
    "source.local.followpaths source.local.excludepatterns source.local.sharedkeyhint " +
    "source.git source.git.fullurl source.git.keepgitdir source.git.httpauth source.git.subdir " +
    "source.git.checksum source.git.skipsubmodules source.git.knownsshhosts source.git.mountsshsock source.http " +
    "source.http.checksum file.base constraints platform meta.ignorecache meta.description meta.exportcache " +
    "exporter.image.attestations exporter.multiple",
);
