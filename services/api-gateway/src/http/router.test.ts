import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { get, type Method, post } from "./route.ts";
import { Router } from "./router.ts";
import { allRoutes } from "./routes/all.ts";

const router = new Router(allRoutes);

function matched(method: Method, path: string): string {
  const match = router.match(method, path);
  if (match.kind === "route") return `${match.route.path} ${match.params.join(",")}`.trim();
  return match.kind === "redirect" ? `301 ${match.location}` : "none";
}

describe("Router", () => {
  const cases: readonly (readonly [Method, string, string])[] = [
    ["GET", "/images/json", "/images/json"],
    ["GET", "/images/a/json", "/images/{name}/json a"],
    ["GET", "/images/localhost:5000/a/b:tag/json", "/images/{name}/json localhost:5000/a/b:tag"],
    ["GET", "/images/a/json/json", "/images/{name}/json a/json"],
    ["GET", "/images/get", "/images/get"],
    ["GET", "/images/a/get", "/images/{name}/get a"],
    ["DELETE", "/images/host/a@sha256:00", "/images/{name} host/a@sha256:00"],
    ["GET", "/containers//name/json", "/containers/{name}/json /name"],
    ["POST", "/containers//start", "301 /containers/start"],
    ["GET", "/images/a//b/json", "301 /images/a/b/json"],
    ["DELETE", "/images/a//b:1", "301 /images/a/b%3A1"],
    ["POST", "/containers/prune", "/containers/prune"],
    ["DELETE", "/containers/json", "/containers/{name} json"],
    ["GET", "/containers/a/attach/ws", "/containers/{name}/attach/ws a"],
    ["POST", "/containers/a/attach", "/containers/{name}/attach a"],
    ["DELETE", "/containers/a/checkpoints/b", "/containers/{name}/checkpoints/{checkpoint} a,b"],
    ["GET", "/networks/", "/networks/"],
    ["GET", "/networks", "/networks"],
    ["GET", "/networks/a b", "/networks/{name} a b"],
    ["GET", "/containers/../images/json", "301 /images/json"],
    ["GET", "//version", "301 /version"],
    ["GET", "/nonesuch", "none"],
    ["PUT", "/version", "none"],
    ["GET", "/", "none"],
    ["OPTIONS", "/anything/at/all", "/{anyroute} anything/at/all"],
  ];
  for (const [method, path, expected] of cases) {
    it(`sends ${method} ${path} to ${expected}`, () => {
      assert.equal(matched(method, path), expected);
    });
  }

  it("prefers the longest suffix", () => {
    const small = new Router([
      get("/a/{name}", () => undefined),
      get("/a/{name}/x/y", () => undefined),
      get("/a/{name}/y", () => undefined),
      post("/a/{name}", () => undefined),
    ]);
    const match = small.match("GET", "/a/b/x/y");
    assert.equal(match.kind === "route" && match.route.path, "/a/{name}/x/y");
  });
});
