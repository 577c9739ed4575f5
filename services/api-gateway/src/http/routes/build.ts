import { build, cancelBuild, pruneBuildCache } from "../handlers/build.ts";
import { openControl, openSession } from "../handlers/buildkit.ts";
import { post, type Route } from "../route.ts";

export const buildRoutes: readonly Route[] = [
  post("/build", build),
  post("/build/prune", pruneBuildCache, { since: 31 }),
  post("/build/cancel", cancelBuild, { since: 39 }),
  post("/session", openSession, { since: 31, hijacks: true }),
  post("/grpc", openControl, { since: 40, hijacks: true, scope: "partly" }),
];
