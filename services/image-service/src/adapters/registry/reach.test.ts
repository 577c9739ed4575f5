import assert from "node:assert/strict";
import { isIPv6 } from "node:net";
import { describe, it } from "node:test";
import { hasKind } from "@gantry/errors";
import { createReach, type ResolveAll } from "./reach.ts";

const names: Readonly<Record<string, readonly string[]>> = {
  "registry.example.org": ["203.0.113.5", "2001:db8::5"],
  "registry.corp": ["10.1.2.3"],
  "cdn.example.net": ["198.51.100.7"],
  "inside.corp": ["10.9.9.9"],
  "mixed.example.net": ["198.51.100.8", "192.168.1.1"],
  "rebound.example.net": ["127.0.0.1"],
  "mapped.example.net": ["::ffff:169.254.169.254"],
  "metadata.example.net": ["169.254.169.254"],
  "ula.example.net": ["fd00::1"],
  "proxy.corp": ["10.0.0.8"],
};

const resolveAll: ResolveAll = (name) =>
  names[name] === undefined
    ? Promise.reject(Object.assign(new Error("none"), { code: "ENOTFOUND" }))
    : Promise.resolve(names[name].map((address) => ({ address, family: isIPv6(address) ? 6 : 4 })));

async function reaches(host: string, by: string): Promise<boolean> {
  const { lookup, checkLiteral } = createReach(host, by, resolveAll);
  try {
    await checkLiteral();
    if (names[host] === undefined) return true;
    await new Promise((resolve, reject) => {
      lookup(host, { all: true }, (error, addresses) => {
        if (error === null) resolve(addresses);
        else reject(error);
      });
    });
    return true;
  } catch (error) {
    assert.ok(hasKind(error, "permission_denied"), String(error));
    return false;
  }
}

describe("a registry", () => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ["cdn.example.net", "registry.example.org", true],
    ["cdn.example.net", "registry.corp", true],
    ["cdn.example.net", "localhost", true],
    ["inside.corp", "registry.corp", true],
    ["inside.corp", "localhost", true],
    ["inside.corp", "registry.example.org", false],
    ["mixed.example.net", "registry.example.org", false],
    ["ula.example.net", "registry.example.org", false],
    ["rebound.example.net", "registry.example.org", false],
    ["rebound.example.net", "registry.corp", false],
    ["rebound.example.net", "127.0.0.1", true],
    ["metadata.example.net", "registry.example.org", false],
    ["metadata.example.net", "localhost", false],
    ["mapped.example.net", "localhost", false],
    ["metadata.example.net", "169.254.1.1", false],
    ["10.9.9.9", "registry.example.org", false],
    ["10.9.9.9", "10.1.1.1", true],
    ["[fd00::2]", "registry.example.org", false],
    ["[::1]", "registry.corp", false],
    // Only a proxy can resolve it: it is taken for one of the internet.
    ["10.9.9.9", "unknown.example.org", false],
    ["203.0.113.77", "unknown.example.org", true],
  ];
  for (const [host, by, allowed] of cases) {
    it(`${allowed ? "may" : "must not"} send us: ${by} to ${host}`, async () => {
      assert.equal(await reaches(host, by), allowed);
    });
  }

  it("has no say on the name of a proxy", async () => {
    const { lookup } = createReach("cdn.example.net", "registry.example.org", resolveAll);
    const found = await new Promise((resolve, reject) => {
      lookup("proxy.corp", {}, (error, address) => {
        if (error === null) resolve(address);
        else reject(error);
      });
    });
    assert.equal(found, "10.0.0.8");
  });
});
