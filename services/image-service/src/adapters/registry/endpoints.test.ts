import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createEndpoints } from "./endpoints.ts";

const endpoints = createEndpoints({
  mirrors: ["https://mirror.example"],
  insecure: ["old.example"],
  certificateDirs: [],
});
const shown = (found: readonly { readonly base: string; readonly tls: { verify: boolean } }[]) =>
  found.map(({ base, tls }) => `${base} ${tls.verify ? "verified" : "unverified"}`);

describe("endpoints of a registry", () => {
  it("have TLS that is verified", () => {
    assert.deepEqual(shown(endpoints.of("r.example", false)), ["https://r.example verified"]);
  });

  it("may do without where the configuration or one request says so", () => {
    const open = (host: string) => [`https://${host} unverified`, `http://${host} unverified`];
    assert.deepEqual(shown(endpoints.of("old.example", false)), open("old.example"));
    assert.deepEqual(shown(endpoints.insecure("r.example")), open("r.example"));
    assert.deepEqual(shown(endpoints.of("r.example", false)), ["https://r.example verified"]);
  });

  it("are the hub's own for a push, however it is reached", () => {
    const [first] = endpoints.insecure("docker.io");
    assert.equal(first?.base, "https://registry-1.docker.io");
    assert.equal(first.mirror, false);
  });
});
