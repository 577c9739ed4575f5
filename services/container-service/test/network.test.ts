/** Networks with real packets. Each scenario runs in network and mount namespaces of its own (root is needed). */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import path from "node:path";
import { describe, it } from "node:test";

const program = path.join(import.meta.dirname, "network", "scenarios.ts");
const limitMs = 300_000;

async function play(scenario: string): Promise<void> {
  // sysfs shows the network namespace that it was mounted in.
  const script = 'mount -t sysfs sysfs /sys && exec "$@"';
  const child = spawn(
    "unshare",
    ["-n", "-m", "sh", "-c", script, "sh", process.execPath, program, scenario],
    {
      stdio: ["ignore", "pipe", "pipe"],
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" },
      timeout: limitMs,
    },
  );
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      output += chunk;
    });
  }
  const exitCode = await new Promise((resolve) => child.once("exit", resolve));
  assert.equal(exitCode, 0, output);
}

describe("networks", () => {
  const behaviours = {
    publishedPorts:
      "a published port answers from outside, from the host, from neighbours and from itself",
    udpFlows: "a UDP flow that never pauses follows its port from container to container",
    portConflicts: "a port in use is Docker's error at start, and nothing is left behind",
    loopbackOnly: "a port published on the loopback is not reached from outside",
    isolation: "networks are kept apart, internal ones from everything",
    publishedAcross: "a published port answers other networks, but no internal one",
    connecting:
      "a running container is connected and disconnected, and its routes and ports follow",
    justEnded:
      "one whose end is not told yet is connected and disconnected as those that have ended",
    staticAddresses: "a static address is given once",
    links: "links on the default bridge are names in the hosts file",
    flushed: "rules that others flush come back",
    restarted:
      "after a crash of the service, containers keep addresses and ports, and the dead give theirs back",
    relayKilled: "a killed relay is replaced",
    foundBridge: "a bridge that was there is used and never removed, and no other link is one",
    cutShort:
      "a service that dies before a record is kept leaves no link, and no interface in a container",
    tornDown: "the end of the engine leaves no link, no rule and no relay",
    besideDockerd:
      "a dockerd that drops forwarded packets is coped with, its rules and subnets left alone",
    manyPorts: "a thousand published ports are one transaction and one process",
  };
  for (const [scenario, behaviour] of Object.entries(behaviours)) {
    it(behaviour, () => play(scenario));
  }
});
