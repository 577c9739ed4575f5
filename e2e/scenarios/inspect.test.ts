/** Inspect and lists show what a create has asked for as a dockerd shows it, asked the same. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { TestEngine } from "@gantry/testkit/test-engine";
import { ask, messageOf } from "../src/http.ts";

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

interface Row {
  readonly version: string;
  readonly body: Readonly<Record<string, unknown>>;
  /** Where in the answer, by dots. */
  readonly at: string;
  readonly shown: unknown;
}

const privileged = { Privileged: true };
const rows: readonly Row[] = [
  { version: "1.39", body: {}, at: "HostConfig.IpcMode", shown: "shareable" },
  { version: "1.40", body: {}, at: "HostConfig.IpcMode", shown: "private" },
  {
    version: "1.39",
    body: { HostConfig: { IpcMode: "private" } },
    at: "HostConfig.IpcMode",
    shown: "private",
  },
  { version: "1.50", body: {}, at: "HostConfig.SecurityOpt", shown: null },
  ...[privileged, { PidMode: "host" }, { IpcMode: "host" }].map((HostConfig) => ({
    ...{ version: "1.50", body: { HostConfig } },
    ...{ at: "HostConfig.SecurityOpt", shown: ["label=disable"] },
  })),
  {
    version: "1.50",
    body: { HostConfig: { ...privileged, SecurityOpt: ["seccomp=unconfined"] } },
    at: "HostConfig.SecurityOpt",
    shown: ["seccomp=unconfined", "label=disable"],
  },
  {
    version: "1.50",
    body: { HostConfig: { ...privileged, SecurityOpt: ["label=type:x"] } },
    at: "HostConfig.SecurityOpt",
    shown: ["label=type:x"],
  },
  { version: "1.50", body: { WorkingDir: "/x/../y/" }, at: "Config.WorkingDir", shown: "/y" },
  { version: "1.50", body: { Shell: [] }, at: "Config.Shell", shown: undefined },
  {
    version: "1.43",
    body: {
      HostConfig: {
        Mounts: [
          { Type: "bind", Source: "/etc", Target: "/e", ReadOnly: true, BindOptions: {} },
          { Type: "bind", Source: "/etc", Target: "/f", BindOptions: {} },
        ],
      },
    },
    at: "HostConfig.Mounts",
    shown: [
      {
        ...{ Type: "bind", Source: "/etc", Target: "/e", ReadOnly: true },
        BindOptions: { ReadOnlyNonRecursive: true },
      },
      { Type: "bind", Source: "/etc", Target: "/f", BindOptions: {} },
    ],
  },
  { version: "1.47", body: {}, at: "NetworkSettings.Networks.bridge.GwPriority", shown: 0 },
  ...["Links", "Aliases", "DriverOpts"].map((field) => ({
    ...{ version: "1.51", body: {}, at: `NetworkSettings.Networks.bridge.${field}`, shown: null },
  })),
  ...(
    [
      ["Links", []],
      ["Aliases", []],
      ["DriverOpts", {}],
    ] as const
  ).map(([field, given]) => ({
    version: "1.51",
    body: { NetworkingConfig: { EndpointsConfig: { bridge: { [field]: given } } } },
    at: `NetworkSettings.Networks.bridge.${field}`,
    shown: given,
  })),
];

describe("inspect", () => {
  for (const { version, body, at, shown } of rows) {
    it(`shows ${at} of ${JSON.stringify(body)} by ${version} as ${JSON.stringify(shown)}`, async () => {
      await using made = await createContainer(version, body);
      const path = `/v${version}/containers/${made.id}/json`;
      const found: unknown = JSON.parse((await ask(engine, { path })).body);
      assert.deepEqual(valueAt(found, at), shown);
    });
  }
});

describe("endpoints of containers that were never started", () => {
  const wish = {
    ...{ Aliases: ["q"], Links: ["a:b"], DriverOpts: { a: "b" }, GwPriority: 5 },
    IPAMConfig: { IPv4Address: "10.213.0.5", LinkLocalIPs: ["169.254.1.1"] },
  };
  const body = {
    HostConfig: { NetworkMode: "front" },
    NetworkingConfig: { EndpointsConfig: { front: wish } },
  };
  before(async () => {
    await engine.docker(["network", "create", "--subnet", "10.213.0.0/24", "front"]);
  });
  after(async () => {
    await engine.docker(["network", "rm", "front"]);
  });

  it("are shown whole by inspect, with the short ID as alias below 1.45", async () => {
    await using made = await createContainer("1.50", body);
    const endpoint = async (version: string) => {
      const path = `/v${version}/containers/${made.id}/json`;
      const found: unknown = JSON.parse((await ask(engine, { path })).body);
      return valueAt(found, "NetworkSettings.Networks.front") as Record<string, unknown>;
    };
    const { IPAMConfig, Links, Aliases, DriverOpts, GwPriority } = await endpoint("1.45");
    assert.deepEqual({ IPAMConfig, Links, Aliases, DriverOpts, GwPriority }, wish);
    assert.deepEqual((await endpoint("1.44"))["Aliases"], ["q", made.id.slice(0, 12)]);
  });

  it("have their names from a connect on, and the sandbox its ID whatever is disconnected", async () => {
    await using made = await createContainer("1.51", { Hostname: "deck" });
    const settings = async (version = "1.51") => {
      const path = `/v${version}/containers/${made.id}/json`;
      const found: unknown = JSON.parse((await ask(engine, { path })).body);
      return valueAt(found, "NetworkSettings") as {
        SandboxID: string;
        Networks: Record<string, Record<string, unknown>>;
      };
    };
    await engine.docker(["network", "connect", "front", made.id]);
    const { NetworkID, DNSNames, Links, Aliases } = (await settings()).Networks["front"] ?? {};
    const names = [made.name, made.id.slice(0, 12), "deck"];
    assert.deepEqual(
      { NetworkID, DNSNames, Links },
      { NetworkID: "", DNSNames: names, Links: null },
    );
    assert.ok(Aliases === null || Array.isArray(Aliases));
    assert.deepEqual((await settings("1.44")).Networks["front"]?.["Aliases"], names.slice(1));
    await engine.docker(["start", made.id]);
    const { SandboxID, Networks } = await settings();
    assert.match(SandboxID, /^[0-9a-f]{64}$/);
    assert.match(String(Networks["front"]?.["NetworkID"]), /^[0-9a-f]{64}$/);
    await engine.docker(["network", "disconnect", "front", made.id]);
    await engine.docker(["network", "disconnect", "bridge", made.id]);
    assert.deepEqual(await settings().then((now) => [now.SandboxID, now.Networks]), [
      SandboxID,
      {},
    ]);
    await engine.docker(["stop", "-t", "0", made.id]);
    assert.equal((await settings()).SandboxID, "");
  });

  it("take no MAC address by a connect, and refuse what is none", async () => {
    await using made = await createContainer("1.51", {});
    const connect = async (MacAddress: string) =>
      await ask(engine, {
        ...{ method: "POST", path: "/v1.51/networks/front/connect" },
        body: { Container: made.id, EndpointConfig: { MacAddress } },
      });
    const refused = await connect("zz");
    assert.deepEqual([refused.status, messageOf(refused)], [400, "invalid MAC address zz"]);
    assert.equal((await connect("02-42-ac-11-00-99")).status, 200);
    const found: unknown = JSON.parse(
      (await ask(engine, { path: `/v1.51/containers/${made.id}/json` })).body,
    );
    assert.equal(valueAt(found, "NetworkSettings.Networks.front.MacAddress"), "");
  });

  it("are warned of a container-wide MAC address, from 1.44 until there is none", async () => {
    const text =
      "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead.";
    for (const [version, warnings] of [
      ["1.43", []],
      ["1.44", [text]],
      ["1.51", [text]],
      ["1.52", []],
    ] as const) {
      const path = `/v${version}/containers/create`;
      const asked = { Image: "busybox", MacAddress: "02:42:ac:11:00:78" };
      const answer = await ask(engine, { method: "POST", path, body: asked });
      const { Id, Warnings } = JSON.parse(answer.body) as { Id: string; Warnings: string[] };
      await engine.docker(["rm", Id]);
      assert.deepEqual(Warnings, warnings, version);
    }
  });

  it("are shown by lists without names and options", async () => {
    await using made = await createContainer("1.50", body);
    const path = `/v1.50/containers/json?all=1&filters={"id":["${made.id}"]}`;
    const [found] = JSON.parse((await ask(engine, { path: encodeURI(path) })).body) as unknown[];
    const endpoint = valueAt(found, "NetworkSettings.Networks.front") as Record<string, unknown>;
    const { IPAMConfig, Links, Aliases, DriverOpts, GwPriority, DNSNames } = endpoint;
    assert.deepEqual(
      { IPAMConfig, Links, Aliases, DriverOpts, GwPriority, DNSNames },
      {
        ...{ IPAMConfig: { IPv4Address: "10.213.0.5" }, GwPriority: 5 },
        ...{ Links: null, Aliases: null, DriverOpts: null, DNSNames: null },
      },
    );
  });
});

async function createContainer(
  version: string,
  body: Row["body"],
): Promise<AsyncDisposable & { readonly id: string; readonly name: string }> {
  const answer = await ask(engine, {
    ...{ method: "POST", path: `/v${version}/containers/create` },
    body: { Image: "busybox", Cmd: ["sleep", "100000"], ...body },
  });
  assert.equal(answer.status, 201, answer.body);
  const { Id: id } = JSON.parse(answer.body) as { Id: string };
  return {
    id,
    name: await engine.docker(["inspect", "-f", "{{slice .Name 1}}", id]),
    [Symbol.asyncDispose]: async () => {
      await engine.docker(["rm", "-f", id]);
    },
  };
}

function valueAt(found: unknown, at: string): unknown {
  return at
    .split(".")
    .reduce<unknown>((value, name) => (value as Record<string, unknown>)[name], found);
}
