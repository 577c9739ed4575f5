/** Names in networks, with the stock CLI. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { mustRun } from "@gantry/testkit/run";
import { untilPasses } from "@gantry/testkit/until-passes";
import { useNetworkBed } from "../src/network-bed.ts";

const bed = useNetworkBed();
const { docker, refusal, sleeper, placeOf, addressOf, lookup } = bed;

describe("names", () => {
  it("are those of containers, aliases, short IDs and links, forwards and backwards", async () => {
    await docker("network", "create", "harbour");
    await sleeper(
      "pilot",
      "--network",
      "harbour",
      "--network-alias",
      "boat",
      "--hostname",
      "pilothouse",
    );
    await sleeper(
      "tug",
      "--network",
      "harbour",
      "--network-alias",
      "boat",
      "--link",
      "pilot:guide",
    );
    const pilot = await addressOf("pilot", "harbour");
    const tug = await addressOf("tug", "harbour");
    const id = (await docker("inspect", "-f", "{{.Id}}", "pilot")).slice(0, 12);
    for (const name of ["pilot", "PILOT", id, "pilothouse", "guide", "pilot.harbour"]) {
      assert.deepEqual(await lookup("tug", name), [pilot], name);
    }
    assert.deepEqual(await lookup("pilot", "guide"), []);
    assert.deepEqual(await lookup("tug", "boat"), [pilot, tug].toSorted());
    assert.deepEqual(
      await lookup("tug", pilot.split(".").reverse().join(".") + ".in-addr.arpa", "ptr"),
      ["pilot.harbour"],
    );
    // The C library's way, which asks for both families.
    assert.match(await docker("exec", "tug", "ping", "-c1", "-W2", "guide"), / 0% packet loss/);
    const hosts = await docker("exec", "tug", "cat", "/etc/hosts");
    assert.doesNotMatch(hosts, /pilot/);
    assert.match(hosts, new RegExp(`^${tug}\t[0-9a-f]{12}$`, "m"));
    await docker("rename", "pilot", "captain");
    await untilPasses(async () => {
      assert.deepEqual(await lookup("tug", "captain"), [pilot]);
    });
    assert.deepEqual(await lookup("tug", "guide"), [pilot]);
    await docker("stop", "-t", "0", "captain");
    await untilPasses(async () => {
      assert.deepEqual(await lookup("tug", "boat"), [tug]);
    });
  });

  it("come and go with the networks of a running container", async () => {
    await docker("network", "create", "harbour");
    await sleeper("pilot", "--network", "harbour");
    await sleeper("guest");
    assert.doesNotMatch(await docker("exec", "guest", "cat", "/etc/resolv.conf"), /127\.0\.0\.11/);
    await docker("network", "connect", "--alias", "visitor", "harbour", "guest");
    assert.match(
      await docker("exec", "guest", "cat", "/etc/resolv.conf"),
      /^nameserver 127\.0\.0\.11\noptions.* ndots:0$/m,
    );
    await untilPasses(async () => {
      assert.deepEqual(await lookup("guest", "pilot"), [await addressOf("pilot", "harbour")]);
      assert.deepEqual(await lookup("pilot", "visitor"), [await addressOf("guest", "harbour")]);
    });
    await docker("network", "disconnect", "harbour", "guest");
    await untilPasses(async () => {
      assert.deepEqual(await lookup("pilot", "visitor"), []);
      assert.deepEqual(await lookup("guest", "pilot"), []);
    });
  });

  it("leave a resolv.conf alone that was changed in the container", async () => {
    await docker("network", "create", "harbour");
    await sleeper("own");
    await docker("exec", "own", "sh", "-c", "echo nameserver 192.0.2.7 > /etc/resolv.conf");
    await docker("network", "connect", "harbour", "own");
    assert.equal(await docker("exec", "own", "cat", "/etc/resolv.conf"), "nameserver 192.0.2.7");
  });

  it("resolve while container-service is dead, and are true again when it is back", async () => {
    await docker("network", "create", "harbour");
    await sleeper("pilot", "--network", "harbour");
    await sleeper("tug", "--network", "harbour");
    const [pilot, tug] = [await placeOf("pilot"), await placeOf("tug")];
    const address = await addressOf("pilot", "harbour");
    await bed.engine.kill9("container-service");
    const { stdout } = await tug.run("busybox", "nslookup", "-type=a", "pilot", "127.0.0.11");
    assert.match(stdout, new RegExp(`Address: ${address}\n`));
    // One that ends meanwhile is told to nobody.
    process.kill(pilot.pid, "SIGKILL");
    await bed.engine.ready();
    await untilPasses(async () => {
      assert.deepEqual(await lookup("tug", "pilot"), []);
    });
    await docker("start", "pilot");
    assert.deepEqual(await lookup("tug", "pilot"), [await addressOf("pilot", "harbour")]);
  });

  it("leave port 53 to the container, and serve those who share its network", async () => {
    await docker("network", "create", "harbour");
    await docker(
      "run",
      "-d",
      "--name",
      "dns",
      "--network",
      "harbour",
      "busybox",
      "nc",
      "-ll",
      "-p",
      "53",
      "-e",
      "echo",
      "mine",
    );
    assert.equal(
      await docker("exec", "dns", "sh", "-c", "nc -w 2 127.0.0.1 53 </dev/null"),
      "mine",
    );
    assert.deepEqual(await lookup("dns", "dns"), [await addressOf("dns", "harbour")]);
    const joined = await docker(
      "run",
      "--rm",
      "--network",
      "container:dns",
      "busybox",
      "nslookup",
      "-type=a",
      "dns",
    );
    assert.match(joined, new RegExp(`Address: ${await addressOf("dns", "harbour")}`));
  });

  it("on the host's network are the host's, or those that the container is given", async () => {
    const inHost = (...args: readonly string[]): Promise<string> =>
      docker("run", "--rm", "--network", "host", ...args, "busybox", "cat", "/etc/hosts");
    assert.equal(await inHost(), readFileSync("/etc/hosts", "utf8").trimEnd());
    const given = await inHost("--add-host", "far:192.0.2.9");
    assert.match(given, /^127\.0\.0\.1\tlocalhost\n/);
    assert.match(given, /\n192\.0\.2\.9\tfar$/);
    const conf = await docker(
      ...["run", "--rm", "--network", "host", "busybox", "cat", "/etc/resolv.conf"],
    );
    assert.match(
      conf,
      /^# Generated by Docker Engine\.\n[^]*\n# Based on host file: '\S+'\n(# .*\n)*# Overrides: \[\]/,
    );
  });

  it("have no IPv6 where the container switches it off", async () => {
    await docker("network", "create", "--ipv6", "harbour");
    for (const link of ["all", "lo"]) {
      const off = ["--sysctl", `net.ipv6.conf.${link}.disable_ipv6=1`];
      const hosts = await docker(
        ...["run", "--rm", "--network", "harbour", ...off, "busybox", "cat", "/etc/hosts"],
      );
      assert.match(hosts, /^127\.0\.0\.1\tlocalhost\n[0-9.]+\t[0-9a-f]{12}$/);
    }
  });

  it("are links and extra hosts on the default bridge", async () => {
    await sleeper("db");
    await sleeper(
      "app",
      "--link",
      "db:store",
      "--add-host",
      "me:host-gateway",
      "--add-host",
      "far:192.0.2.9",
    );
    const hosts = await docker("exec", "app", "cat", "/etc/hosts");
    const db = await addressOf("db", "bridge");
    assert.match(hosts, new RegExp(`^${db}\tstore [0-9a-f]{12} db$`, "m"));
    assert.match(hosts, new RegExp(`^${await addressOf("app", "bridge", "Gateway")}\tme$`, "m"));
    assert.match(hosts, /^192\.0\.2\.9\tfar$/m);
    assert.match(await docker("exec", "app", "ping", "-c1", "-W2", "store"), / 0% packet loss/);
  });

  it("follow a link's container through a change of its name", async () => {
    await sleeper("db");
    await sleeper("app", "--link", "db:store", "--link", "db");
    await docker("rename", "db", "base");
    const links = ["inspect", "-f", "{{json .HostConfig.Links}}", "app"];
    assert.deepEqual((JSON.parse(await docker(...links)) as string[]).toSorted(), [
      "/base:/app/db",
      "/base:/app/store",
    ]);
    await docker("restart", "-t", "0", "app");
    const hosts = await docker("exec", "app", "cat", "/etc/hosts");
    const address = await addressOf("base", "bridge");
    for (const alias of ["store", "db"])
      assert.match(hosts, new RegExp(`^${address}\t${alias} [0-9a-f]{12} base$`, "m"));
    await docker("stop", "-t", "0", "base");
    assert.match(
      await refusal("restart", "-t", "0", "app"),
      /Cannot link to a non running container: \/base AS \/app\/(?:store|db)$/,
    );
  });

  it("are, for a link to who shares another's network, that one's", async () => {
    await sleeper("db");
    await sleeper("mate", "--network", "container:db");
    await sleeper("app", "--link", "mate:store");
    const hosts = await docker("exec", "app", "cat", "/etc/hosts");
    assert.match(
      hosts,
      new RegExp(`^${await addressOf("db", "bridge")}\tstore [0-9a-f]{12} db$`, "m"),
    );
  });

  it("in a hosts file stand beside what is written there in the container, whatever comes, goes and is killed", async () => {
    await docker("network", "create", "harbour");
    await sleeper("db");
    await sleeper("app", "--link", "db:store", "--add-host", "far:192.0.2.9");
    await docker("run", "-d", "--name", "host", "--network", "host", "busybox", "sleep", "1000");
    const hosts = (of: string): Promise<string> => docker("exec", of, "cat", "/etc/hosts");
    const hostsOfHost = await hosts("host");
    const id = (await docker("inspect", "-f", "{{.Id}}", "app")).slice(0, 12);
    const dbId = (await docker("inspect", "-f", "{{.Id}}", "db")).slice(0, 12);
    await docker("exec", "app", "sh", "-c", "printf '10.0.0.1 mine\\xff' >> /etc/hosts");
    const bridge = await addressOf("app", "bridge");
    const mine = "10.0.0.1 mine\ufffd";
    const expected = async (...more: readonly string[]): Promise<string> =>
      [
        "192.0.2.9\tfar",
        `${await addressOf("db", "bridge")}\tstore ${dbId} db`,
        `${bridge}\t${id}`,
        mine,
        ...more,
      ].join("\n");
    const holds = async (...more: readonly string[]): Promise<void> => {
      const all = await hosts("app");
      assert.equal(all.slice(all.indexOf("192.")), await expected(...more));
    };
    await holds();
    await docker("network", "connect", "harbour", "app");
    const inHarbour = `${await addressOf("app", "harbour")}\t${id}`;
    await holds(inHarbour);
    await bed.engine.kill9("container-service");
    await bed.engine.ready();
    await docker("network", "disconnect", "harbour", "app");
    await holds();
    // Its address is another container's when it comes back.
    const address = await addressOf("db", "bridge");
    await docker("stop", "-t", "0", "db");
    await sleeper("other");
    assert.equal(await addressOf("other", "bridge"), address);
    await docker("start", "db");
    assert.notEqual(await addressOf("db", "bridge"), address);
    await untilPasses(() => holds());
    await docker("exec", "app", "sh", "-c", ": > /etc/hosts");
    await docker("network", "connect", "harbour", "app");
    assert.equal(await hosts("app"), inHarbour);
    assert.equal(await hosts("host"), hostsOfHost);
    await docker("restart", "-t", "0", "app");
    assert.doesNotMatch(await hosts("app"), /mine/);
  });

  it("in a hosts file that cannot be written fail no connect, and come with the next", async () => {
    await docker("network", "create", "harbour");
    await docker("network", "create", "quay");
    await sleeper("app");
    const id = await docker("inspect", "-f", "{{.Id}}", "app");
    const file = await docker("inspect", "-f", "{{.HostsPath}}", "app");
    const before = readFileSync(file, "utf8");
    // As a privileged container can make it.
    await mustRun(["chattr", "+i", file]);
    try {
      await docker("network", "connect", "harbour", "app");
      assert.equal(readFileSync(file, "utf8"), before);
    } finally {
      await mustRun(["chattr", "-i", file]);
    }
    await docker("network", "connect", "quay", "app");
    const own = async (network: string): Promise<string> =>
      `${await addressOf("app", network)}\t${id.slice(0, 12)}\n`;
    assert.equal(
      readFileSync(file, "utf8"),
      `${before}${await own("harbour")}${await own("quay")}`,
    );
  });
});
