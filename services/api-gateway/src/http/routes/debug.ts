/** Profiles of a Go program: there are none of a Node one. Unknown to clients, as on a daemon without debug mode. */
import { notFound } from "@gantry/errors";
import { get, type Handler, type Route } from "../route.ts";

const pageNotFound: Handler = () => {
  throw notFound("page", "", "page not found");
};

export const debugRoutes: readonly Route[] = [
  "/debug/vars",
  "/debug/pprof/",
  "/debug/pprof/cmdline",
  "/debug/pprof/profile",
  "/debug/pprof/symbol",
  "/debug/pprof/trace",
  "/debug/pprof/{name}",
].map((path) => get(path, pageNotFound, { scope: "not yet" }));
