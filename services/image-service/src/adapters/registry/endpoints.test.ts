import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createEndpoints } from "./endpoints.ts";

const names: Readonly<Record<string, readonly string[]>> = {
  "r.example": ["203.0.113.5"],
  here: ["203.0.113.5", "127.0.1.1"],
  "lab.example": ["10.1.2.3"],
};
const looked: string[] = [];
const endpoints = createEndpoints(
  {
    mirrors: ["https://mirror.example"],
    insecure: ["old.example", "10.0.0.0/8"],
    certificateDirs: [],
  },
  (name) => {
    looked.push(name);
    const found = names[name];
    if (found === undefined) return Promise.reject(new Error("no such host"));
    return Promise.resolve(found.map((address) => ({ address, family: 4 })));
  },
);
const shown = (found: readonly { readonly base: string; readonly tls: { verify: boolean } }[]) =>
  found.map(({ base, tls }) => `${base} ${tls.verify ? "verified" : "unverified"}`);

describe("endpoints of a registry", () => {
  it("have TLS that is verified", async () => {
    assert.deepEqual(shown(await endpoints.of("r.example", false)), ["https://r.example verified"]);
  });

  it("may do without where the configuration or one request says so", async () => {
    const open = (host: string) => [`https://${host} unverified`, `http://${host} unverified`];
    assert.deepEqual(shown(await endpoints.of("old.example", false)), open("old.example"));
    assert.deepEqual(shown(await endpoints.insecure("r.example")), open("r.example"));
    assert.deepEqual(shown(await endpoints.of("r.example", false)), ["https://r.example verified"]);
  });

  it("may do without where a name stands for an address that may, and lead nowhere else", async () => {
    for (const [domain, address] of [
      ["here:5000", "127.0.1.1"],
      ["lab.example", "10.1.2.3"],
    ] as const) {
      const found = await endpoints.of(domain, false);
      assert.deepEqual(shown(found), [
        `https://${domain} unverified`,
        `http://${domain} unverified`,
      ]);
      for (const { tls } of found) assert.deepEqual(tls.addresses, [{ address, family: 4 }]);
    }
    assert.deepEqual(shown(await endpoints.of("unknown.example", false)), [
      "https://unknown.example verified",
    ]);
  });

  it("are looked up only where their names alone do not tell", async () => {
    looked.length = 0;
    for (const domain of ["docker.io", "localhost:5000", "old.example", "10.1.1.1", "[::1]:5000"])
      await endpoints.of(domain, true);
    assert.deepEqual(looked, []);
  });

  it("are the hub's own for a push, however it is reached", async () => {
    const [first] = await endpoints.insecure("docker.io");
    assert.equal(first?.base, "https://registry-1.docker.io");
    assert.equal(first.mirror, false);
  });
});
