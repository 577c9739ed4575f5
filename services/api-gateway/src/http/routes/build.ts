import { notYet, pruneNoBuildCache } from "../handlers/refusals.ts";
import { post, type Route } from "../route.ts";

const build = notYet("building images");
const buildkit = notYet("BuildKit's session protocol");

export const buildRoutes: readonly Route[] = [
  post("/build", build, { scope: "not yet" }),
  post("/build/prune", pruneNoBuildCache, { since: 31, scope: "partly" }),
  post("/build/cancel", build, { since: 39, scope: "not yet" }),
  post("/session", buildkit, { since: 31, scope: "not yet" }),
  post("/grpc", buildkit, { since: 40, scope: "not yet" }),
];
