import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { InsecureHosts, isForbiddenTarget, isLoopback, isSameSite } from "./network-rules.ts";

describe("network rules", () => {
  it("know this machine by name and address", () => {
    for (const host of ["localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "[::1]"])
      assert.ok(isLoopback(host), host);
    for (const host of ["localhost.example.org", "128.0.0.1", "0.0.0.0", "example.org"])
      assert.ok(!isLoopback(host), host);
  });

  it("forbid metadata services", () => {
    for (const host of ["169.254.169.254", "[fe80::1]", "0.0.0.0", "[::]"])
      assert.ok(isForbiddenTarget(host), host);
    assert.ok(!isForbiddenTarget("10.0.0.1") && !isForbiddenTarget("example.org"));
  });

  it("take siblings under one domain for one owner", () => {
    assert.ok(isSameSite("registry-1.docker.io", "auth.docker.io"));
    assert.ok(isSameSite("registry.gitlab.com", "gitlab.com"));
    for (const [one, other] of [
      ["a.example.org", "a.example.com"],
      ["a.co.uk", "b.co.uk"],
      ["10.0.0.1", "10.0.0.2"],
      ["localhost", "example.org"],
    ] as const) {
      assert.ok(!isSameSite(one, other), `${one} ${other}`);
    }
  });

  it("know insecure registries by host, host and port, and range", () => {
    const hosts = new InsecureHosts(["Reg.example.org", "other:5000", "10.0.0.0/8"]);
    for (const domain of [
      "reg.example.org",
      "reg.example.org:80",
      "other:5000",
      "10.1.2.3:5000",
      "127.0.0.1:1",
      "localhost",
    ])
      assert.ok(hosts.has(domain), domain);
    for (const domain of ["other", "other:1", "11.0.0.1", "example.org"])
      assert.ok(!hosts.has(domain), domain);
  });
});
