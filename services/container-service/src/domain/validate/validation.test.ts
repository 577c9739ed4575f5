import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { ContainerConfigSchema, HostConfigSchema, ResourcesSchema } from "@gantry/proto/container";
import { healthCheckOf } from "../health-check.ts";
import type { HostFacts, KernelFeatures } from "../host-facts.ts";
import { normalizeResources } from "./normalize-resources.ts";
import { validateConfig } from "./validate-config.ts";
import { validateHostConfig, validateRestartPolicy } from "./validate-host-config.ts";

const features: KernelFeatures = {
  memoryLimit: true,
  swapLimit: true,
  memorySwappiness: true,
  oomKillDisable: true,
  kernelMemoryTcp: true,
  cpuCfsPeriod: true,
  cpuCfsQuota: true,
  cpuShares: true,
  cpuSet: true,
  cpuRealtime: true,
  pidsLimit: true,
  blkioWeight: true,
  blkioThrottle: true,
  ipv4Forwarding: true,
};

const host: HostFacts = {
  cgroupVersion: "1",
  cpus: 2,
  memoryBytes: 1 << 30,
  cpusetCpus: "0-1",
  cpusetMems: "0",
  kernelVersion: "6.1",
  hostname: "host",
  operatingSystem: "Linux",
  osVersion: "1",
  machine: "x86_64",
  platform: "linux/amd64/v3",
  bootId: "boot",
  features,
  apparmor: false,
  seccomp: true,
  messageQueues: true,
};

describe("validation of a configuration", () => {
  const rows: readonly [MessageInitShape<typeof ContainerConfigSchema>, string | RegExp][] = [
    [
      { workingDir: "relative" },
      "the working directory 'relative' is invalid, it needs to be an absolute path",
    ],
    [{ env: ["=x"] }, "invalid environment variable: =x"],
    [{ env: [""] }, "invalid environment variable: "],
    [{ stopSignal: "NOPE" }, "invalid signal: NOPE"],
    [{ stopSignal: "0" }, "invalid signal: 0"],
    [{ hostname: "a b" }, "invalid hostname: a b"],
    [{ hostname: "x".repeat(65) }, /^invalid hostname: x+$/],
    [{ domainname: "a\nnameserver 1.2.3.4" }, /^invalid domainname/],
    [{ domainname: "x".repeat(256) }, /^invalid domainname: x+$/],
    [{ exposedPorts: ["80/foo"] }, 'invalid port specification: "80/foo"'],
    [{ volumes: ["/"] }, "invalid volume specification: destination can't be '/'"],
    [{ volumes: [""] }, "invalid volume specification: destination can't be '/'"],
    [{ healthcheck: { intervalNs: 5n } }, "Interval in Healthcheck cannot be less than 1ms"],
    [{ healthcheck: { retries: -1 } }, "Retries in Healthcheck cannot be negative"],
  ];
  for (const [config, message] of rows) {
    it(`refuses ${JSON.stringify(config, (_, each: unknown) => (typeof each === "bigint" ? Number(each) : each))}`, () => {
      assert.throws(
        () => {
          validateConfig(create(ContainerConfigSchema, config));
        },
        { kind: "invalid_argument", message },
      );
    });
  }

  it("takes what only a stop finds out about, and ports that are none", () => {
    for (const config of [
      { stopSignal: "999" },
      { stopSignal: "-1" },
      { exposedPorts: ["99999/tcp", "0"] },
    ]) {
      assert.doesNotThrow(() => {
        validateConfig(create(ContainerConfigSchema, config));
      });
    }
  });

  it("takes a health check of no known kind, which is none", () => {
    for (const values of [["WHAT", "x"], [""], ["cmd", "true"]]) {
      const config = create(ContainerConfigSchema, { healthcheck: { test: { values } } });
      assert.doesNotThrow(() => {
        validateConfig(config);
      });
      assert.equal(healthCheckOf(config), undefined);
    }
  });
});

describe("validation of a host configuration", () => {
  const list = (...values: string[]) => ({ values });
  const rows: readonly [string, MessageInitShape<typeof HostConfigSchema>, string | RegExp][] = [
    [
      "unknown capability",
      { capAdd: list("foo") },
      'invalid CapAdd: unknown capability: "CAP_FOO"',
    ],
    ["unknown drop", { capDrop: list("CAP_X") }, 'invalid CapDrop: unknown capability: "CAP_X"'],
    [
      "oom score",
      { oomScoreAdj: 1001 },
      "Invalid value 1001, range for oom score adj is [-1000, 1000]",
    ],
    ["shm size", { shmSizeBytes: -1n }, "SHM size can not be less than 0"],
    ["runtime", { runtime: "nope" }, "unknown or invalid runtime name: nope"],
    ["ipc mode", { ipcMode: "weird" }, "invalid IPC mode: weird"],
    ["pid mode", { pidMode: "container:" }, "invalid PID mode: container:"],
    [
      "annotation",
      { annotations: { "": "x" } },
      "invalid Annotations: the empty string is not permitted as an annotation key",
    ],
    [
      "auto-remove with policy",
      { autoRemove: true, restartPolicy: { name: "always" } },
      "can't create 'AutoRemove' container with restart policy",
    ],
    [
      "device rule",
      { resources: { deviceCgroupRules: list("x 1:2 rwm") } },
      "invalid device cgroup rule format: 'x 1:2 rwm'",
    ],
    ["ulimit name", { resources: { ulimits: [{ name: "foo" }] } }, "invalid ulimit type: foo"],
    [
      "ulimit order",
      { resources: { ulimits: [{ name: "nofile", soft: 5n, hard: 3n }] } },
      "ulimit soft limit must be less than or equal to hard limit: 5 > 3",
    ],
  ];
  for (const [what, config, message] of rows) {
    it(`refuses a wrong ${what}`, () => {
      assert.throws(
        () => {
          validateHostConfig(create(HostConfigSchema, config));
        },
        { kind: "invalid_argument", message },
      );
    });
  }

  // A dockerd answers these with 500.
  for (const [option, place] of [
    ["zzz", 1],
    ["x=y", 2],
    ["writeable-cgroups=true", 2],
    ["writable-cgroups=tRuE", 2],
    ["seccomp:x=unconfined", 2],
  ] as const) {
    it(`takes the security option ${option} for a fault of its own`, () => {
      const message = `invalid --security-opt ${String(place)}: "${option}"`;
      assert.throws(
        () => {
          validateHostConfig(create(HostConfigSchema, { securityOpt: list(option) }));
        },
        { kind: "internal", message },
      );
    });
  }

  const policies: readonly [string, number, string][] = [
    [
      "sometimes",
      0,
      "invalid restart policy: unknown policy 'sometimes'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'",
    ],
    ["always", 3, "invalid restart policy: maximum retry count can only be used with 'on-failure'"],
    ["on-failure", -1, "invalid restart policy: maximum retry count cannot be negative"],
  ];
  for (const [name, maximumRetryCount, message] of policies) {
    it(`refuses the restart policy ${name}:${String(maximumRetryCount)}`, () => {
      const policy = {
        $typeName: "gantry.container.v1.RestartPolicy" as const,
        name,
        maximumRetryCount,
      };
      assert.throws(
        () => {
          validateRestartPolicy(policy, false);
        },
        { kind: "invalid_argument", message },
      );
    });
  }
});

describe("resources", () => {
  const normalize = (
    init: MessageInitShape<typeof ResourcesSchema>,
    facts: HostFacts = host,
    update = false,
  ) => normalizeResources(create(ResourcesSchema, init), facts, update);
  const mib = 1n << 20n;

  const rows: readonly [MessageInitShape<typeof ResourcesSchema>, string][] = [
    [{ memoryBytes: mib }, "Minimum memory limit allowed is 6MB"],
    [
      { memoryBytes: 20n * mib, memorySwapBytes: 10n * mib },
      "Minimum memoryswap limit should be larger than memory limit, see usage",
    ],
    [
      { memorySwapBytes: 10n * mib },
      "You should always set the Memory limit when using Memoryswap limit, see usage",
    ],
    [{ memorySwappiness: 101n }, "Invalid value: 101, valid memory swappiness range is 0-100"],
    [
      { memoryBytes: 10n * mib, memoryReservationBytes: 20n * mib },
      "Minimum memory limit can not be less than memory reservation limit, see usage",
    ],
    [
      { nanoCpus: 1n, cpuQuotaUs: 2000n },
      "Conflicting options: Nano CPUs and CPU Quota cannot both be set",
    ],
    [
      { nanoCpus: 3_000_000_000n },
      "range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available",
    ],
    [
      { cpuPeriodUs: 10n },
      "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
    ],
    [{ cpusetCpus: "0-" }, "Invalid value 0- for cpuset cpus: invalid format: 0-"],
    [{ cpusetCpus: "7" }, "Requested CPUs are not available - requested 7, available: 0-1"],
    [{ blkioWeight: 5 }, "Range of blkio weight is from 10 to 1000"],
    [
      { ioMaximumIops: 2n },
      "invalid option: QoS maximum IOPs configuration is not supported on linux",
    ],
    [
      { ioMaximumBandwidth: 2n, ioMaximumIops: 2n },
      "invalid option: QoS maximum bandwidth configuration is not supported on linux",
    ],
  ];
  for (const [init, message] of rows) {
    it(`says: ${message}`, () => {
      assert.throws(() => normalize(init), { kind: "invalid_argument", message });
    });
  }

  it("gives swap twice the memory, and drops values that mean none", () => {
    const { resources, warnings } = normalize({
      memoryBytes: 64n * mib,
      pidsLimit: -1n,
      memorySwappiness: -1n,
    });
    assert.equal(resources.memorySwapBytes, 128n * mib);
    assert.equal(resources.pidsLimit, undefined);
    assert.equal(resources.memorySwappiness, undefined);
    assert.equal(resources.oomKillDisable, false);
    assert.deepEqual(warnings, []);
  });

  it("keeps 0 where an update lifts the limit of processes", () => {
    for (const pidsLimit of [0n, -1n, -2n]) {
      assert.equal(normalize({ pidsLimit }, host, true).resources.pidsLimit, 0n);
    }
  });

  it("drops with a warning what the kernel has not", () => {
    const facts = { ...host, features: { ...features, pidsLimit: false, swapLimit: false } };
    const { resources, warnings } = normalize(
      { memoryBytes: 64n * mib, memorySwapBytes: 70n * mib, pidsLimit: 5n },
      facts,
    );
    assert.equal(resources.pidsLimit, undefined);
    assert.equal(resources.memorySwapBytes, -1n);
    assert.equal(warnings.length, 2);
  });

  it("refuses the I/O limits of Windows in an update, too", () => {
    assert.throws(() => normalize({ ioMaximumIops: 2n }, host, true), {
      kind: "invalid_argument",
      message:
        "Invalid QoS settings: linux does not support Maximum IO Bandwidth or Maximum IO IOps",
    });
  });

  it("drops with a warning what only Windows has", () => {
    const { resources, warnings } = normalize({ cpuPercent: 200n });
    assert.equal(resources.cpuPercent, 0n);
    assert.deepEqual(warnings, ["linux does not support CPU percent. Percent discarded."]);
  });

  it("warns of a disabled OOM killer where no memory is limited", () => {
    const text =
      "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.";
    assert.deepEqual(normalize({ oomKillDisable: true }).warnings, [text]);
    const limited = { oomKillDisable: true, memoryBytes: 64n * mib };
    assert.deepEqual(normalize(limited).warnings, []);
    const weightless = { ...host, features: { ...features, blkioWeight: false } };
    const weighed = normalize({ oomKillDisable: true, blkioWeight: 300 }, weightless);
    assert.deepEqual(weighed.warnings, [
      text,
      "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.",
    ]);
    assert.throws(() => normalize({ cpuShares: -1n }), { kind: "invalid_argument" });
  });

  it("lets an update set swap alone", () => {
    assert.equal(
      normalize({ memorySwapBytes: 10n * mib }, host, true).resources.memorySwapBytes,
      10n * mib,
    );
  });
});
