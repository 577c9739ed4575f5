/** Networks that cannot be had, in Docker's words. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { describe, it } from "node:test";
import { run } from "@gantry/testkit";
import { useNetworkBed } from "../src/network-bed.ts";

const bed = useNetworkBed();
const { docker, refusal, sleeper } = bed;

describe("bad input of networks", () => {
  it("of a macvlan without a parent is none: it gets one that leads nowhere", async () => {
    const { code, stderr } = await bed.engine.tryDocker([
      "network",
      "create",
      "-d",
      "macvlan",
      "alone",
    ]);
    const hasDummies = (await run(["ip", "link", "add", "e2edm", "type", "dummy"])).code === 0;
    if (!hasDummies) {
      assert.match(stderr, /^Error response from daemon: operation not supported\n/);
      return;
    }
    execFileSync("ip", ["link", "del", "e2edm"]);
    assert.equal(code, 0, stderr);
    const net = ["run", "--rm", "--network", "alone", "busybox"];
    assert.match(await docker(...net, "ip", "-o", "link", "show", "eth0"), /eth0/);
    await docker("network", "rm", "alone");
  });

  it("is refused in Docker's words, and nothing is left behind", async () => {
    await docker("network", "create", "--subnet", "10.231.9.0/24", "taken");
    await sleeper("user", "--network", "taken");
    const before = bed.kernelState();
    const cases: readonly (readonly [args: readonly string[], text: RegExp])[] = [
      [["--subnet", "10.231.9.128/25", "x"], /Pool overlaps with other one on this address space/],
      [
        ["--subnet", "10.231.10.0", "x"],
        /invalid subnet 10\.231\.10\.0: invalid CIDR block notation/,
      ],
      [
        ["--subnet", "10.231.10.1/24", "x"],
        /invalid subnet 10\.231\.10\.1\/24: it should be 10\.231\.10\.0\/24/,
      ],
      [
        ["--subnet", "10.231.10.0/24", "--gateway", "10.231.11.1", "x"],
        /no matching subnet for gateway 10\.231\.11\.1/,
      ],
      [
        ["--subnet", "10.231.10.0/24", "--ip-range", "10.231.11.0/25", "x"],
        /no matching subnet for range 10\.231\.11\.0\/25/,
      ],
      [["taken"], /network with name taken already exists/],
      [["bridge"], /operation is not permitted on predefined bridge network/],
      [["-d", "nope", "x"], /plugin "nope" not found/],
      [["-d", "host", "x"], /only one instance of "host" network is allowed/],
      [["--ipam-driver", "nope", "x"], /plugin "nope" not found/],
      [["-d", "overlay", "x"], /This node is not a swarm manager/],
      [["--ipv4=false", "x"], /IPv4 or IPv6 must be enabled/],
      [
        ["-o", "com.docker.network.driver.mtu=much", "x"],
        /failed to parse com\.docker\.network\.driver\.mtu value: much \(strconv\.Atoi: parsing "much": invalid syntax\)/,
      ],
      [
        ["-d", "macvlan", "-o", "parent=nosuchlink", "x"],
        /invalid subinterface vlan name nosuchlink, example formatting is eth0\.10/,
      ],
      [
        ["-d", "ipvlan", "-o", "parent=nosuchlink.7", "x"],
        /-o parent interface was not found on the host: nosuchlink/,
      ],
      [
        ["-d", "macvlan", "-o", "macvlan_mode=l2", "x"],
        /requested macvlan mode 'l2' is not valid, 'bridge' mode is the macvlan driver default/,
      ],
      [
        ["--subnet", "10.231.10.0/24", "--subnet", "10.231.11.0/24", "x"],
        /bridge driver doesn't support multiple subnets/,
      ],
      [["--ipam-driver", "null", "x"], /: ipv4 pool is empty$/],
      [
        ["--ipv6", "--subnet", "ff02::/64", "x"],
        /: multicast subnet 'ff02::1\/64' is not allowed$/,
      ],
      [
        ["--ipv6", "--subnet", "fd42:9::/128", "x"],
        /: failed to allocate gateway \(\): no available addresses on this pool$/,
      ],
      [["-o", "com.docker.network.driver.mtu=67", "x"], /: invalid argument$/],
      [
        ["-o", "com.docker.network.bridge.name=longerthanlinks0", "x"],
        /: numerical result out of range$/,
      ],
      [["-o", "com.docker.network.bridge.name=a/b", "x"], /: invalid argument$/],
      [
        ["-o", "com.docker.network.bridge.name=lo", "x"],
        /: existing interface lo is not a bridge$/,
      ],
      [
        ["-o", "com.docker.network.bridge.inhibit_ipv4=x", "x"],
        /failed to parse com\.docker\.network\.bridge\.inhibit_ipv4 value: x \(strconv\.ParseBool/,
      ],
      [
        ["-o", "com.docker.network.host_ipv4=x", "x"],
        /failed to parse com\.docker\.network\.host_ipv4 value: x \(nil ip\)/,
      ],
      [
        ["-o", "com.docker.network.bridge.gateway_mode_ipv4=isolated", "x"],
        /: gateway mode 'isolated' can only be used for an internal network$/,
      ],
      [
        ["-d", "ipvlan", "-o", "ipvlan_flag=x", "x"],
        /requested ipvlan flag 'x' is not valid, 'bridge' is the ipvlan driver default/,
      ],
      [
        ["--subnet", "10.231.10.0/24", "--gateway", "10.231.10.255", "x"],
        /failed to allocate gateway \(10\.231\.10\.255\): Address already in use/,
      ],
    ];
    for (const [args, text] of cases)
      assert.match(await refusal("network", "create", ...args), text);
    assert.match(
      await refusal("network", "rm", "bridge"),
      /bridge is a pre-defined network and cannot be removed/,
    );
    assert.match(await refusal("network", "rm", "nosuch"), /network nosuch not found/);
    assert.match(await refusal("network", "connect", "nosuch", "user"), /network nosuch not found/);
    assert.match(
      await refusal("network", "connect", "taken", "nosuch"),
      /No such container: nosuch/,
    );
    assert.match(
      await refusal("network", "disconnect", "host", "user"),
      /container [0-9a-f]{64} is not connected to network host/,
    );
    assert.match(
      await refusal("run", "--network", "taken", "--ip", "10.231.10.9", "busybox", "true"),
      /: invalid config for network taken: invalid endpoint settings:\nno configured subnet or ip-range contain the IP address 10\.231\.10\.9\n/,
    );
    await docker("network", "create", "chosen");
    const [chosen = ""] = (
      await docker("network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", "chosen")
    ).split("/");
    assert.match(
      await refusal(
        "run",
        "--network",
        "chosen",
        "--ip",
        chosen.replace(/0$/, "9"),
        "busybox",
        "true",
      ),
      /: invalid config for network chosen: invalid endpoint settings:\nuser specified IP address is supported only when connecting to networks with user configured subnets\n/,
    );
    await docker("network", "rm", "chosen");
    for (const [name, why] of [
      ["longerthanlinks0", "numerical result out of range"],
      ["a/b", "invalid argument"],
      ["lo", "file exists"],
    ] as const) {
      const wish = `name=taken,driver-opt=com.docker.network.endpoint.ifname=${name}`;
      assert.match(
        await refusal("run", "--network", wish, "busybox", "true"),
        new RegExp(`error renaming interface "gtr\\S+" to "${name}": ${why}\n`),
      );
    }
    // Of no bridge: whichever subnet the default one has found free.
    assert.match(
      await refusal("run", "--ip", "198.51.100.9", "busybox", "true"),
      /: invalid config for network bridge: invalid endpoint settings:\n\* user specified IP address is supported on user defined networks only\n\* user specified IP address is supported only when connecting to networks with user configured subnets\n/,
    );
    assert.match(
      await refusal("run", "--network-alias", "x", "busybox", "true"),
      /network-scoped aliases are only supported for user-defined networks/,
    );
    assert.match(
      await refusal("run", "--network", "nosuch", "busybox", "true"),
      /: failed to set up container networking: network nosuch not found\n/,
    );
    assert.match(
      await refusal("run", "--network", "container:nosuch", "busybox", "true"),
      /: joining network namespace of container: No such container: nosuch\n/,
    );
    assert.match(
      await refusal("run", "--network", "taken", "--ip", "10.231.9.1", "busybox", "true"),
      /: failed to set up container networking: Address already in use\n/,
    );
    assert.match(
      await refusal("run", "--network", "taken", "--link-local-ip", "10.1.1.1", "busybox", "true"),
      /: failed to set up container networking: invalid link local IP address: 10\.1\.1\.1\n/,
    );
    assert.deepEqual(bed.kernelState(), before);
  });
});
