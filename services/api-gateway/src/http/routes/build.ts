import { openControl, openSession } from "../handlers/buildkit.ts";
import { notYet, pruneNoBuildCache } from "../handlers/refusals.ts";
import { post, type Route } from "../route.ts";

const build = notYet("building images");

export const buildRoutes: readonly Route[] = [
  post("/build", build, { scope: "not yet" }),
  post("/build/prune", pruneNoBuildCache, { since: 31, scope: "partly" }),
  post("/build/cancel", build, { since: 39, scope: "not yet" }),
  post("/session", openSession, { since: 31, hijacks: true, scope: "partly" }),
  post("/grpc", openControl, { since: 40, hijacks: true, scope: "partly" }),
];
