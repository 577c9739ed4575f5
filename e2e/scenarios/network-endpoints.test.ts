/** Endpoints as the raw API asks for them: what create and connect take, and what inspect shows of it. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Answer, ask } from "../src/http.ts";
import { useNetworkBed } from "../src/network-bed.ts";

const bed = useNetworkBed();
const { docker } = bed;
const own = "02:42:ac:11:00:98";

async function call(
  method: string,
  url: string,
  body?: object | string,
): Promise<readonly [status: number, message: string]> {
  const { status, body: text }: Answer = await ask(bed.engine, {
    method,
    path: url,
    ...(body === undefined ? {} : { body }),
  });
  const message = text.startsWith('{"message":')
    ? (JSON.parse(text) as { message: string }).message
    : "";
  return [status, message];
}

const sleeper = { Image: "busybox", Cmd: ["sleep", "1000"] };

async function create(
  name: string,
  mode: string,
  endpoints?: Readonly<Record<string, object | null>>,
  rest: object = {},
): Promise<readonly [status: number, message: string]> {
  return await call("POST", `/v1.51/containers/create?name=${name}`, {
    ...sleeper,
    ...rest,
    HostConfig: { NetworkMode: mode },
    ...(endpoints === undefined ? {} : { NetworkingConfig: { EndpointsConfig: endpoints } }),
  });
}

const start = (name: string) => call("POST", `/containers/${name}/start`);

interface Shown {
  readonly Config: { readonly MacAddress?: string };
  readonly NetworkSettings: {
    readonly Networks: Readonly<
      Record<string, { MacAddress: string; NetworkID: string; GwPriority: number; Links: unknown }>
    >;
  };
}

async function inspect(name: string, version = "1.51"): Promise<Shown> {
  const answer = await ask(bed.engine, { path: `/v${version}/containers/${name}/json` });
  return JSON.parse(answer.body) as Shown;
}

async function networksOf(name: string): Promise<string[]> {
  return Object.keys((await inspect(name)).NetworkSettings.Networks);
}

const setUp = "failed to set up container networking: ";

describe("endpoints that a create asks for", () => {
  it("are all that the container has, whatever its mode", async () => {
    await docker("network", "create", "quay");
    assert.deepEqual(await create("elsewhere", "", { quay: {} }), [201, ""]);
    assert.deepEqual(await networksOf("elsewhere"), ["quay"]);
    assert.deepEqual(await create("private", "none", { quay: {} }), [201, ""]);
    for (const name of ["elsewhere", "private"]) {
      assert.deepEqual(await start(name), [204, ""]);
      assert.deepEqual(await networksOf(name), ["quay"]);
      assert.equal(await docker("exec", name, "sh", "-c", "echo $(ls /sys/class/net)"), "eth0 lo");
    }
  });

  it("are one of a network that two references mean", async () => {
    const id = await docker("network", "create", "quay");
    assert.deepEqual(await create("twice", "quay", { quay: {}, [id.slice(0, 12)]: {} }), [201, ""]);
    assert.deepEqual(await start("twice"), [204, ""]);
    assert.deepEqual(await networksOf("twice"), ["quay"]);
  });

  it("are none where networking is off", async () => {
    assert.deepEqual(await create("off", "bridge", undefined, { NetworkDisabled: true }), [
      201,
      "",
    ]);
    assert.deepEqual(await start("off"), [204, ""]);
    assert.deepEqual(await networksOf("off"), []);
    const [status, message] = await call("POST", "/networks/bridge/connect", { Container: "off" });
    assert.equal(status, 404);
    assert.match(message, /^network sandbox for container [0-9a-f]{64} not found$/);
  });

  it("are refused at the start when they don't go together", async () => {
    await docker("network", "create", "quay");
    const withNone =
      "container cannot be connected to multiple networks with one of the networks in private (none) mode";
    const shared =
      "container sharing network namespace with another container or host cannot be connected to any other network";
    const toHost =
      "cannot connect container to host network - container must be created in host network mode";
    const before = bed.kernelState();
    for (const [mode, networks, text] of [
      ["bridge", ["bridge", "none"], withNone],
      ["none", ["none", "quay"], withNone],
      ["host", ["host", "quay"], shared],
      ["host", ["quay"], shared],
      ["bridge", ["host"], toHost],
    ] as const) {
      const endpoints = Object.fromEntries(networks.map((name) => [name, {}]));
      assert.deepEqual(await create("mixed", mode, endpoints), [201, ""]);
      assert.deepEqual(await start("mixed"), [400, `${setUp}${text}`]);
      await docker("rm", "mixed");
    }
    assert.deepEqual(bed.kernelState(), before);
  });

  it("are refused when they are nothing, all of them in one message", async () => {
    const nil = (name: string) => `invalid config for network ${name}: EndpointsConfig is nil`;
    assert.deepEqual(await create("xx", "", { bridge: null }), [400, nil("bridge")]);
    assert.deepEqual(await create("xx", "a", { a: null, b: null }), [
      400,
      `* ${nil("a")}\n* ${nil("b")}`,
    ]);
    const bad = { IPAMConfig: { IPv4Address: "x" } };
    const problem = (name: string) =>
      `* invalid config for network ${name}: invalid endpoint settings:\n\tinvalid IPv4 address: x`;
    assert.deepEqual(await create("xx", "a", { a: bad, b: bad }), [
      400,
      `${problem("a")}\n${problem("b")}`,
    ]);
  });

  it("are looked for by the ID among their settings", async () => {
    const id = await docker("network", "create", "quay");
    assert.deepEqual(await create("named", "quay", { quay: { NetworkID: id } }), [201, ""]);
    assert.equal((await inspect("named")).NetworkSettings.Networks["quay"]?.NetworkID, id);
    assert.deepEqual(await start("named"), [204, ""]);
    assert.deepEqual(await create("stale", "quay", { quay: { NetworkID: "abc" } }), [201, ""]);
    assert.deepEqual(await start("stale"), [404, `${setUp}network abc not found`]);
    await docker("run", "-d", "--name", "up", "busybox", "sleep", "1000");
    assert.deepEqual(
      await call("POST", "/networks/quay/connect", {
        Container: "up",
        EndpointConfig: { NetworkID: "abc" },
      }),
      [404, "network abc not found"],
    );
  });

  it("have their links read at the start", async () => {
    await docker("network", "create", "quay");
    assert.deepEqual(await create("linked", "quay", { quay: { Links: ["a:b:c"] } }), [201, ""]);
    assert.deepEqual(await start("linked"), [500, `${setUp}bad format for links: a:b:c`]);
    const links = { HostConfig: { Links: ["a:b:c"] } };
    assert.deepEqual(await call("POST", "/containers/create?name=old", { ...sleeper, ...links }), [
      500,
      "bad format for links: a:b:c",
    ]);
  });

  it("may have any alias", async () => {
    await docker("network", "create", "quay");
    const Aliases = ["a b", "", "x\ny", "z"];
    assert.deepEqual(await create("many", "quay", { quay: { Aliases } }), [201, ""]);
    assert.deepEqual(await start("many"), [204, ""]);
    assert.equal((await bed.lookup("many", "z")).length, 1);
  });
});

describe("the MAC address of a container", () => {
  it("is shown of its primary endpoint, to clients that know it", async () => {
    await docker("network", "create", "quay");
    assert.deepEqual(await create("mac", "quay", { quay: { MacAddress: own } }), [201, ""]);
    assert.deepEqual(await start("mac"), [204, ""]);
    for (const [version, shown] of [
      ["1.43", own],
      ["1.51", own],
      ["1.52", undefined],
    ] as const) {
      const { Config, NetworkSettings } = await inspect("mac", version);
      assert.equal(Config.MacAddress, shown, version);
      assert.equal(NetworkSettings.Networks["quay"]?.MacAddress, own);
    }
    await docker("kill", "mac");
    await docker("wait", "mac");
    const { Config, NetworkSettings } = await inspect("mac");
    assert.equal(Config.MacAddress, own);
    assert.equal(NetworkSettings.Networks["quay"]?.MacAddress, "");
  });

  it("of old clients is that of their one endpoint", async () => {
    const url = "/v1.43/containers/create?name=mac";
    const endpoints = {
      NetworkingConfig: { EndpointsConfig: { bridge: { MacAddress: "02:42:ac:11:00:99" } } },
    };
    const body = { ...sleeper, ...endpoints, MacAddress: own };
    assert.deepEqual(await call("POST", url, body), [201, ""]);
    assert.deepEqual(await start("mac"), [204, ""]);
    assert.equal(await docker("exec", "mac", "cat", "/sys/class/net/eth0/address"), own);
  });
});

describe("connect", () => {
  it("takes a gateway priority in every version", async () => {
    await docker("network", "create", "quay");
    await docker("run", "-d", "--name", "up", "busybox", "sleep", "1000");
    const body = { Container: "up", EndpointConfig: { GwPriority: 5 } };
    assert.deepEqual(await call("POST", "/v1.43/networks/quay/connect", body), [200, ""]);
    assert.equal((await inspect("up")).NetworkSettings.Networks["quay"]?.GwPriority, 5);
    const route = await docker("exec", "up", "ip", "route", "show", "default");
    assert.match(route, /dev eth1/);
  });

  it("says of a bad link or sysctl what is wrong, and leaves nothing", async () => {
    await docker("network", "create", "quay");
    await docker("run", "-d", "--name", "up", "busybox", "sleep", "1000");
    const before = bed.kernelState();
    const option = "com.docker.network.endpoint.sysctls";
    const noFile = "/proc/sys/net/ipv4/conf/eth1/nosuch is not a sysctl file";
    const sysctl = "net.ipv4.conf.IFNAME.log_martians";
    const file = "/proc/sys/net/ipv4/conf/eth1/log_martians";
    for (const [endpoint, text] of [
      [{ Links: ["a:b:c"] }, /^bad format for links: a:b:c$/],
      [{ DriverOpts: { [option]: "net.ipv4.conf.IFNAME.nosuch=1" } }, noFile],
      [
        { DriverOpts: { [option]: sysctl } },
        `expected sysctl '${sysctl}' to have format name=value`,
      ],
      [
        { DriverOpts: { [option]: `${sysctl}=x` } },
        `unable to write to '${file}': write ${file}: invalid argument`,
      ],
      [
        { DriverOpts: { "com.docker.network.endpoint.ifname": "eth0" } },
        /^failed to add interface (\S+) to sandbox: error renaming interface "\1" to "eth0": file exists$/,
      ],
    ] as const) {
      const body = { Container: "up", EndpointConfig: endpoint };
      const [status, message] = await call("POST", "/networks/quay/connect", body);
      assert.equal(status, 500, message);
      const told = message.replace(/^failed to add interface gtr\S+ to sandbox: /, "");
      if (typeof text === "string") assert.equal(told, text);
      else assert.match(message, text);
      assert.deepEqual(await networksOf("up"), ["bridge"]);
      assert.deepEqual(bed.kernelState(), before);
    }
  });

  it("is refused where the network namespace is another container's", async () => {
    await docker("network", "create", "quay");
    await docker("run", "-d", "--name", "up", "busybox", "sleep", "1000");
    assert.deepEqual(await create("joined", "container:up"), [201, ""]);
    assert.deepEqual(await start("joined"), [204, ""]);
    assert.deepEqual(await call("POST", "/networks/quay/connect", { Container: "joined" }), [
      400,
      "container sharing network namespace with another container or host cannot be connected to any other network",
    ]);
    assert.deepEqual(await networksOf("joined"), []);
  });

  it("of a container that does not run changes nothing where it is already", async () => {
    await docker("network", "create", "quay");
    assert.deepEqual(await create("down", "quay"), [201, ""]);
    const body = { Container: "down", EndpointConfig: { Aliases: ["late"] } };
    assert.deepEqual(await call("POST", "/networks/quay/connect", body), [200, ""]);
    assert.deepEqual(await call("POST", "/networks/none/connect", body), [
      400,
      "invalid endpoint settings:\nnetwork-scoped aliases are only supported for user-defined networks",
    ]);
    assert.deepEqual(await networksOf("down"), ["quay"]);
    assert.deepEqual(await create("held", "host"), [201, ""]);
    const held = { Container: "held" };
    assert.deepEqual(await call("POST", "/networks/host/disconnect", held), [200, ""]);
    assert.deepEqual(await networksOf("held"), []);
  });
});

describe("networks that the raw API makes", () => {
  const make = (body: object | string) => call("POST", "/v1.47/networks/create", body);
  interface ShownNetwork {
    readonly Scope: string;
    readonly EnableIPv4: boolean;
    readonly EnableIPv6: boolean;
    readonly IPAM: { readonly Config: readonly { Subnet: string; Gateway?: string }[] };
  }
  const shown = async (): Promise<ShownNetwork> =>
    JSON.parse((await ask(bed.engine, { path: "/networks/quay" })).body) as ShownNetwork;

  it("tell their families in every version", async () => {
    for (const version of ["v1.24", "v1.47", "v1.51"]) {
      const one = await ask(bed.engine, { path: `/${version}/networks/bridge` });
      const list = await ask(bed.engine, { path: `/${version}/networks` });
      const [first] = JSON.parse(list.body) as ShownNetwork[];
      assert.equal((JSON.parse(one.body) as ShownNetwork).EnableIPv4, true, version);
      assert.equal(first?.EnableIPv4, true, version);
    }
  });

  it("have a subnet in every configuration", async () => {
    const [status, message] = await make('{"Name":"quay","IPAM":{"Config":[null]}}');
    assert.equal(status, 400);
    assert.equal(message, "invalid network config:\ninvalid subnet : invalid CIDR block notation");
  });

  it("have their families by options, too", async () => {
    const option = (family: number, value: string) => ({
      Name: "quay",
      Options: { [`com.docker.network.enable_ipv${String(family)}`]: value },
    });
    assert.deepEqual(await make(option(4, "false")), [400, "IPv4 or IPv6 must be enabled"]);
    assert.deepEqual(await make(option(6, "x")), [
      400,
      'driver-opt "com.docker.network.enable_ipv6" is not a valid bool',
    ]);
    assert.deepEqual(await make(option(6, "true")), [201, ""]);
    assert.equal((await shown()).EnableIPv6, true);
  });

  it("show what was asked for: the scope, and subnets of a family that is off", async () => {
    const Config = [{ Subnet: "fd42:77::7/64" }];
    assert.deepEqual(await make({ Name: "quay", Scope: "harbour", IPAM: { Config } }), [201, ""]);
    const { Scope, IPAM, EnableIPv6 } = await shown();
    assert.equal(Scope, "harbour");
    assert.equal(EnableIPv6, false);
    assert.equal(IPAM.Config[0]?.Subnet, "fd42:77::7/64");
    assert.match(IPAM.Config[1]?.Gateway ?? "", /^\d+\.\d+\.\d+\.1$/);
    assert.equal(
      await docker("network", "ls", "-q", "-f", "scope=harbour").then((id) => id.length),
      12,
    );
  });
});
