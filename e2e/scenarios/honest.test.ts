/** Nothing is faked: which programs run, and which endpoints need which service. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { startRegistry } from "@gantry/testkit/registry";
import { cleanEnvironment } from "@gantry/testkit/run";
import type { ServiceName } from "@gantry/testkit/test-engine";
import { repository, TestEngine } from "@gantry/testkit/test-engine";
import { untilPasses } from "@gantry/testkit/until-passes";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

describe("the programs that the engine executes", () => {
  it("are ours, nft, and the container's, over run, pull, exec and rm", async () => {
    await using registry = await startRegistry({ dir: path.join(engine.root, "registry") });
    const name = `${registry.host}/strace/busybox:1`;
    await engine.docker(["tag", "busybox", name]);
    await engine.docker(["push", name]);
    await engine.docker(["rmi", name]);
    const trace = path.join(engine.root, "trace");
    const pids = (
      await Promise.all(
        (["container-service", "image-service", "api-gateway"] as const).map(
          async (service) => await engine.pidsOf(service),
        ),
      )
    ).flat();
    const strace = spawn(
      "strace",
      [
        "-f",
        "-q",
        "-e",
        "trace=execve",
        "-o",
        trace,
        ...pids.flatMap((pid) => ["-p", String(pid)]),
      ],
      { env: cleanEnvironment(), stdio: ["ignore", "ignore", "pipe"] },
    );
    await untilPasses(async () => {
      for (const pid of pids)
        assert.doesNotMatch(
          await readFile(`/proc/${String(pid)}/status`, "utf8"),
          /^TracerPid:\t0$/m,
        );
    });
    await engine.docker(["pull", name]);
    await engine.docker(["run", "-d", "--name", "traced", "-p", "8080", name, "sleep", "1000"]);
    await engine.docker(["exec", "traced", "true"]);
    await engine.docker(["rm", "-f", "traced"]);
    strace.kill("SIGINT");
    await once(strace, "close");
    const executed = new Set<string>();
    for (const line of (await readFile(trace, "utf8")).split("\n")) {
      const program = /execve\("([^"]+)"/.exec(line)?.[1];
      if (program !== undefined && line.endsWith("= 0")) executed.add(program);
    }
    const allowed = [
      `${repository}/native/build/`,
      `${repository}/dist/`,
      "/proc/self/fd/",
      "/usr/sbin/nft",
      "/sbin/nft",
      "/bin/sleep",
      "/bin/true",
    ];
    assert.deepEqual(
      [...executed].filter((program) => !allowed.some((prefix) => program.startsWith(prefix))),
      [],
    );
    assert.ok(executed.has("/bin/sleep"), "strace saw nothing");
  });
});

describe("with one service stopped", () => {
  const probes: readonly {
    readonly service: ServiceName;
    readonly down: readonly string[];
    readonly up: readonly string[];
  }[] = [
    {
      service: "image-service",
      down: ["/images/json", "/images/busybox/json"],
      up: ["/containers/json", "/networks", "/volumes", "/_ping", "/version"],
    },
    {
      service: "container-service",
      down: ["/containers/json", "/networks", "/volumes", "/info"],
      up: ["/images/json", "/_ping", "/version"],
    },
  ];
  for (const { service, down, up } of probes) {
    it(`exactly the endpoints of ${service} answer 503`, async () => {
      const [pid] = await engine.pidsOf(service);
      assert.ok(pid !== undefined);
      const supervisors = await engine.pidsOf("supervisor");
      for (const supervisor of supervisors) process.kill(supervisor, "SIGSTOP");
      try {
        await engine.kill9(service);
        for (const endpoint of down) assert.equal(await status(endpoint), 503, endpoint);
        for (const endpoint of up) assert.equal(await status(endpoint), 200, endpoint);
      } finally {
        for (const supervisor of supervisors) process.kill(supervisor, "SIGCONT");
      }
      await engine.ready();
    });
  }
});

async function status(endpoint: string): Promise<number> {
  const curl = spawn(
    "curl",
    [
      "-s",
      "-o",
      "/dev/null",
      "-w",
      "%{http_code}",
      "--unix-socket",
      path.join(engine.runRoot, "docker.sock"),
      `http://d${endpoint}`,
    ],
    { env: cleanEnvironment(), stdio: ["ignore", "pipe", "inherit"] },
  );
  const chunks: Buffer[] = [];
  curl.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  await once(curl, "close");
  return Number(Buffer.concat(chunks).toString());
}
