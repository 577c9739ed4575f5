import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create } from "@bufbuild/protobuf";
import {
  ContainerSchema,
  ContainerStateSchema,
  StatsContainerResponseSchema,
} from "@gantry/proto/container";
import { EventSchema } from "@gantry/proto/event";
import { ImageSchema, ProgressMessageSchema } from "@gantry/proto/image";
import { encodeContainer } from "./container-inspect.ts";
import { encodeContainerSummary, statusText } from "./container-list.ts";
import { encodeEvent } from "./event.ts";
import { encodeImage, encodeImageSummary } from "./image.ts";
import { type JsonOut, toJson } from "./json.ts";
import { goFileMode } from "./path-stat.ts";
import { encodeProgress } from "./progress.ts";
import { encodeStats } from "./stats.ts";
import { humanDuration, rfc3339 } from "./time.ts";
import { gates, opened } from "./version-gates.ts";

function parsed(value: JsonOut): any {
  return JSON.parse(toJson(value));
}

const container = create(ContainerSchema, {
  id: "0123456789abcdef".repeat(4),
  name: "web",
  path: "sh",
  args: ["-c", "echo hi"],
  state: { status: "running", running: true },
  config: { tty: false, healthcheck: { startIntervalNs: 5n } },
  hostConfig: { resources: { memorySwapBytes: 9223372036854771712n } },
  networkSettings: {
    ports: [
      { port: "80/tcp", bindings: [{ hostIp: "0.0.0.0", hostPort: "8080" }] },
      { port: "443/tcp", bindings: [] },
    ],
    networks: {
      bridge: { ipAddress: "172.17.0.2" },
      front: { dnsNames: ["0123456789ab"], gwPriority: 3 },
    },
  },
});

describe("times", () => {
  it("have as many digits as needed, and Go's zero", () => {
    assert.equal(rfc3339(1_700_000_000_120_000_000n), "2023-11-14T22:13:20.12Z");
    assert.equal(rfc3339(1_700_000_000_000_000_000n), "2023-11-14T22:13:20Z");
    assert.equal(rfc3339(0n), "0001-01-01T00:00:00Z");
  });

  const hour = 3_600_000;
  const cases: readonly (readonly [number, string])[] = [
    [0, "Less than a second"],
    [1000, "1 second"],
    [59_000, "59 seconds"],
    [60_000, "About a minute"],
    [59 * 60_000, "59 minutes"],
    [hour, "About an hour"],
    [47 * hour, "47 hours"],
    [48 * hour, "2 days"],
    [14 * 24 * hour, "2 weeks"],
    [60 * 24 * hour, "2 months"],
    [731 * 24 * hour, "2 years"],
  ];
  for (const [ms, words] of cases) {
    it(`calls ${String(ms)} ms ${words}`, () => {
      assert.equal(humanDuration(ms), words);
    });
  }
});

describe("statusText", () => {
  const state = (fields: object): string =>
    statusText(create(ContainerStateSchema, fields), 10_000);
  it("has Docker's words for each state", () => {
    assert.equal(state({ status: "running", startedAtNano: 7_000_000_000n }), "Up 3 seconds");
    assert.equal(
      state({ status: "running", startedAtNano: 7_000_000_000n, health: { status: "starting" } }),
      "Up 3 seconds (health: starting)",
    );
    assert.equal(
      state({ status: "running", startedAtNano: 7_000_000_000n, health: { status: "healthy" } }),
      "Up 3 seconds (healthy)",
    );
    assert.equal(
      state({ status: "paused", startedAtNano: 7_000_000_000n }),
      "Up 3 seconds (Paused)",
    );
    assert.equal(
      state({ status: "restarting", exitCode: 1, finishedAtNano: 8_000_000_000n }),
      "Restarting (1) 2 seconds ago",
    );
    assert.equal(
      state({ status: "exited", exitCode: 137, finishedAtNano: 8_000_000_000n }),
      "Exited (137) 2 seconds ago",
    );
    assert.equal(state({ status: "created" }), "Created");
    assert.equal(state({ status: "removing" }), "Removal In Progress");
    assert.equal(state({ status: "dead" }), "Dead");
  });
});

describe("container inspect", () => {
  it("writes integers of 64 bits exactly", () => {
    assert.match(toJson(encodeContainer(container, 52)), /"MemorySwap":9223372036854771712,/);
  });

  it("repeats the default bridge's address at the top below 1.52 only", () => {
    assert.equal(parsed(encodeContainer(container, 51)).NetworkSettings.IPAddress, "172.17.0.2");
    assert.equal("IPAddress" in parsed(encodeContainer(container, 52)).NetworkSettings, false);
  });

  it("shows ports without binding as null", () => {
    const { Ports } = parsed(encodeContainer(container, 52)).NetworkSettings;
    assert.deepEqual(Ports, {
      "443/tcp": null,
      "80/tcp": [{ HostIp: "0.0.0.0", HostPort: "8080" }],
    });
  });

  it("shows DNSNames, StartInterval, Storage and the short alias by version", () => {
    const at = (version: number) => parsed(encodeContainer(container, version));
    const front = (version: number) => at(version).NetworkSettings.Networks.front;
    assert.equal("DNSNames" in front(43), false);
    assert.deepEqual(front(44).DNSNames, ["0123456789ab"]);
    assert.deepEqual(front(44).Aliases, ["0123456789ab"]);
    assert.equal(at(44).NetworkSettings.Networks.bridge.Aliases, null);
    assert.equal(front(45).Aliases, null);
    assert.equal(front(47).GwPriority, 3);
    assert.equal(at(43).Config.Healthcheck.StartInterval, undefined);
    assert.equal(at(44).Config.Healthcheck.StartInterval, 5);
    assert.equal(at(51).GraphDriver.Name, "overlayfs");
    assert.equal(at(52).GraphDriver, undefined);
    assert.equal(at(52).Storage.RootFS.Snapshot.Name, "overlayfs");
  });

  it("has Docker's fields in Docker's order", () => {
    const keys = Object.keys(parsed(encodeContainer(container, 51)));
    assert.deepEqual(keys.slice(0, 8), [
      "Id",
      "Created",
      "Path",
      "Args",
      "State",
      "Image",
      "ResolvConfPath",
      "HostnamePath",
    ]);
  });
});

describe("container list", () => {
  it("quotes arguments with blanks and lists ports", () => {
    const row = parsed(encodeContainerSummary(container, 52, 0));
    assert.equal(row.Command, "sh -c 'echo hi'");
    assert.deepEqual(row.Names, ["/web"]);
    assert.deepEqual(row.Ports, [
      { IP: "0.0.0.0", PrivatePort: 80, PublicPort: 8080, Type: "tcp" },
      { PrivatePort: 443, Type: "tcp" },
    ]);
    assert.deepEqual(row.Labels, {});
    assert.deepEqual(row.Mounts, []);
  });

  it("shows health from 1.52 on", () => {
    assert.equal(parsed(encodeContainerSummary(container, 51, 0)).Health, undefined);
    assert.deepEqual(parsed(encodeContainerSummary(container, 52, 0)).Health, {
      Status: "none",
      FailingStreak: 0,
    });
  });
});

describe("images", () => {
  const untagged = create(ImageSchema, { id: "sha256:aa", sharedSizeBytes: -1n });
  const view = { countContainers: undefined, manifests: false };

  it("without name have placeholders below 1.43", () => {
    assert.deepEqual(parsed(encodeImageSummary(untagged, { ...view, version: 42 })).RepoTags, [
      "<none>:<none>",
    ]);
    assert.deepEqual(parsed(encodeImageSummary(untagged, { ...view, version: 43 })).RepoTags, []);
  });

  it("have VirtualSize below 1.44 and a descriptor from 1.48", () => {
    assert.equal(
      "VirtualSize" in parsed(encodeImageSummary(untagged, { ...view, version: 43 })),
      true,
    );
    assert.equal(
      "VirtualSize" in parsed(encodeImageSummary(untagged, { ...view, version: 44 })),
      false,
    );
  });

  it("show a container's fields to old clients and omit empty ones for new ones", () => {
    const image = create(ImageSchema, {
      ...untagged,
      configJson: Buffer.from('{"config":{"Cmd":["sh"]}}'),
    });
    const at = (version: number) => parsed(encodeImage(image, version, false));
    assert.deepEqual(at(44).ContainerConfig.Cmd, ["sh"]);
    assert.equal("ContainerConfig" in at(45), false);
    assert.equal("Tty" in at(49).Config, true);
    assert.equal("Tty" in at(50).Config, false);
    assert.deepEqual(at(52).Config, { Cmd: ["sh"] });
    assert.equal(at(51).Author, "");
    assert.equal("Author" in at(52), false);
    assert.equal(at(43).Created, "0001-01-01T00:00:00Z");
    assert.equal("Created" in at(44), false);
  });

  it("show no command for an empty one", () => {
    const configJson = Buffer.from('{"config":{"Cmd":[],"Entrypoint":[]}}');
    const image = create(ImageSchema, { ...untagged, configJson });
    const { Cmd, Entrypoint } = parsed(encodeImage(image, 51, false)).Config;
    assert.deepEqual([Cmd, Entrypoint], [null, null]);
  });

  it("with an unreadable config are shown with an empty one", () => {
    const image = create(ImageSchema, { ...untagged, configJson: Buffer.from("{{{") });
    assert.deepEqual(parsed(encodeImage(image, 52, false)).Config, {});
  });
});

describe("events", () => {
  const event = create(EventSchema, {
    type: "container",
    action: "die",
    actorId: "c1",
    attributes: { image: "busybox", exitCode: "0" },
    timeNano: 1_700_000_000_123_456_789n,
  });
  it("have status, id and from below 1.52", () => {
    assert.equal(
      encodeEvent(event, 51),
      '{"status":"die","id":"c1","from":"busybox","Type":"container","Action":"die","Actor":{"ID":"c1","Attributes":{"exitCode":"0","image":"busybox"}},"scope":"local","time":1700000000,"timeNano":1700000000123456789}',
    );
    assert.equal("status" in JSON.parse(encodeEvent(event, 52)), false);
  });
});

describe("progress", () => {
  const encode = (fields: object): string => encodeProgress(create(ProgressMessageSchema, fields));
  it("ends with CRLF and escapes what HTML would take", () => {
    assert.equal(encode({ status: "a <b>" }), '{"status":"a \\u003cb\\u003e"}\r\n');
  });
  it("has details, a bar, and raw aux", () => {
    assert.equal(
      encode({ id: "x", status: "Downloading", current: 50n, total: 100n }),
      `{"status":"Downloading","progressDetail":{"current":50,"total":100},"progress":"[${"=".repeat(25)}\\u003e${" ".repeat(24)}]  50B/100B","id":"x"}\r\n`,
    );
    assert.equal(
      encode({ hasProgressDetail: true, status: "s" }),
      '{"status":"s","progressDetail":{}}\r\n',
    );
    assert.equal(encode({ auxJson: '{"ID":"x"}' }), '{"aux":{"ID":"x"}}\r\n');
  });
});

describe("stats", () => {
  it("have the shape of the cgroup version, and zeros for a stopped container", () => {
    const v2 = parsed(
      encodeStats(
        create(StatsContainerResponseSchema, {
          name: "a",
          current: { cgroupVersion: "2", cpuTotalNs: 1n },
        }),
        52,
      ),
    );
    assert.equal(v2.blkio_stats.io_serviced_recursive, null);
    assert.equal("percpu_usage" in v2.cpu_stats.cpu_usage, false);
    assert.equal(v2.os_type, "linux");
    const v1 = parsed(
      encodeStats(
        create(StatsContainerResponseSchema, {
          name: "a",
          current: { cgroupVersion: "1", percpuNs: [1n, 2n], memoryMaxUsageBytes: 9n },
        }),
        51,
      ),
    );
    assert.deepEqual(v1.cpu_stats.cpu_usage.percpu_usage, [1, 2]);
    assert.equal(v1.memory_stats.max_usage, 9);
    assert.deepEqual(v1.blkio_stats.io_serviced_recursive, []);
    assert.equal("os_type" in v1, false);
    const stopped = parsed(encodeStats(create(StatsContainerResponseSchema, { name: "a" }), 52));
    assert.equal(stopped.read, "0001-01-01T00:00:00Z");
    assert.equal("networks" in stopped, false);
  });
});

describe("goFileMode", () => {
  it("moves type and special bits to Go's places", () => {
    assert.equal(goFileMode(0o40755), 2 ** 31 + 0o755);
    assert.equal(goFileMode(0o100644), 0o644);
    assert.equal(goFileMode(0o120777), 2 ** 27 + 0o777);
    assert.equal(goFileMode(0o104755), 2 ** 23 + 0o755);
    assert.equal(goFileMode(0o41777), 2 ** 31 + 2 ** 20 + 0o777);
  });
});

describe("version gates", () => {
  for (const [name, { since, what }] of Object.entries(gates)) {
    it(`${name} opens at 1.${String(since)}: ${what}`, () => {
      assert.equal(opened(name as keyof typeof gates, since), true);
      assert.equal(opened(name as keyof typeof gates, since - 1), false);
      assert.ok(since >= 24 && since <= 52);
    });
  }
});
