/**
 * Containers and networks on a fresh kernel that was started with `ipv6.disable=1`; run by `npm run test:cgroup2` in a virtual
 * machine. The file's name keeps it from the tests of this machine.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { TestEngine } from "@gantry/testkit/test-engine";

describe("without IPv6 in the kernel", () => {
  let engine: TestEngine;
  before(async () => {
    assert.equal(existsSync("/proc/sys/net/ipv6"), false);
    engine = await TestEngine.start();
  });
  after(async () => {
    await engine[Symbol.asyncDispose]();
  });

  it("a machine that did not forward does so, and no warning says otherwise", async () => {
    const warnings = await engine.docker(["info", "-f", "{{json .Warnings}} {{.IPv4Forwarding}}"]);
    assert.equal(warnings, "null true");
  });

  it("containers run, and their ports are published by IPv4 alone", async () => {
    const serve = "mkdir /www && echo served > /www/index.html && exec httpd -f -p 80 -h /www";
    await engine.docker([
      "run",
      "-d",
      "--name",
      "srv",
      "-p",
      "18080:80",
      "busybox",
      "sh",
      "-c",
      serve,
    ]);
    assert.equal(await engine.docker(["port", "srv"]), "80/tcp -> 0.0.0.0:18080");
    const hosts = await engine.docker(["exec", "srv", "cat", "/etc/hosts"]);
    assert.match(hosts, /^127\.0\.0\.1\tlocalhost\n172\.\d+\.0\.\d+\t[0-9a-f]{12}$/);
    const page = await fetch("http://127.0.0.1:18080/");
    assert.equal(await page.text(), "served\n");
  });

  it("networks come and go, with names", async () => {
    await engine.docker(["network", "create", "own"]);
    await engine.docker(["network", "connect", "--alias", "served", "own", "srv"]);
    const asks = ["run", "--rm", "--network", "own", "busybox", "wget", "-qO-", "http://served/"];
    assert.equal(await engine.docker(asks), "served");
    await engine.docker(["network", "disconnect", "own", "srv"]);
    await engine.docker(["network", "rm", "own"]);
  });

  it("what asks for it is refused in Docker's words", async () => {
    const made = await engine.tryDocker(["network", "create", "--ipv6", "six"]);
    assert.match(
      made.stderr,
      /^Error response from daemon: Cannot read IPv6 setup for bridge (\S+): open \/proc\/sys\/net\/ipv6\/conf\/\1\/disable_ipv6: no such file or directory\n/,
    );
    const bound = await engine.tryDocker([
      "run",
      "--rm",
      "-p",
      "[::1]:18081:80",
      "busybox",
      "true",
    ]);
    assert.match(
      bound.stderr,
      /failed to create socket for userland proxy for \[::1\]:18081:172\.\d+\.0\.\d+:80\/tcp: address family not supported by protocol\n/,
    );
    assert.equal(await engine.docker(["network", "ls", "-q", "--filter", "name=six"]), "");
  });

  it("an engine that is started again takes its containers and networks over", async () => {
    await engine.kill9("container-service");
    await engine.ready();
    const page = await fetch("http://127.0.0.1:18080/");
    assert.equal(await page.text(), "served\n");
    await engine.docker(["restart", "-t", "0", "srv"]);
    await engine.docker(["rm", "-f", "srv"]);
  });
});
