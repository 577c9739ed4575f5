import { events } from "../handlers/events.ts";
import { inspectDistribution, login } from "../handlers/images.ts";
import { anyOptions, diskUsage, info, ping, version } from "../handlers/system.ts";
import { get, head, options, post, type Route } from "../route.ts";

export const systemRoutes: readonly Route[] = [
  head("/_ping", ping),
  get("/_ping", ping),
  get("/version", version),
  get("/info", info),
  get("/events", events),
  get("/system/df", diskUsage, { since: 25 }),
  post("/auth", login),
  get("/distribution/{name}/json", inspectDistribution, { since: 30 }),
  options("/", anyOptions),
  options("/{anyroute}", anyOptions),
];
