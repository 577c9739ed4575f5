/** Scenarios of networks in which something dies, and of what others on the machine do to rules and links. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { untilPasses } from "@gantry/testkit/until-passes";
import type { NewNetwork } from "../../src/app/network/new-network.ts";
import type { ContainerNetworks } from "../../src/domain/network/records.ts";
import type { DocumentChange } from "../../src/ports/metadata.ts";
import type { World } from "./world.ts";

export type Scenario = (world: World) => Promise<void>;

function nft(...args: string[]): string {
  return execFileSync("nft", args, { encoding: "utf8" });
}

export const flushed: Scenario = async (world) => {
  const web = await world.run("web", { publish: ["8080:80/tcp"] });
  await web.place.serve("tcp", 80);
  const before = nft("list", "table", "inet", "gantry_t");
  for (const attack of [
    "flush ruleset",
    "flush table inet gantry_t",
    "flush map inet gantry_t dnat4any",
  ]) {
    nft(...attack.split(" "));
    await untilPasses(
      () => {
        assert.equal(nft("list", "table", "inet", "gantry_t"), before, attack);
      },
      { timeoutMs: 5000 },
    );
  }
  assert.equal(await world.outside.ask("tcp", "10.99.0.1", 8080), "10.99.0.2");
  // Tables of others come and go without ours being written again.
  nft("add", "table", "inet", "theirs");
  assert.equal(nft("list", "table", "inet", "gantry_t"), before);
  nft("delete", "table", "inet", "theirs");
};

export const restarted: Scenario = async (world) => {
  const web = await world.run("web", { publish: ["8080:80/tcp"] });
  const gone = await world.run("gone", { publish: ["8081:80/tcp"] });
  await web.place.serve("tcp", 80);
  const address = web.address("bridge");
  // The service dies; meanwhile a container ends and somebody flushes the rules.
  await world.networking.close();
  await gone.place.close();
  world.setPid(gone.id, 0);
  nft("flush", "ruleset");
  assert.equal(await world.ask("tcp", "127.0.0.1", 8080), "172.16.0.1");
  await world.restart();
  assert.equal(web.address("bridge"), address);
  assert.equal(await world.outside.ask("tcp", "10.99.0.1", 8080), "10.99.0.2");
  assert.equal(await world.ask("tcp", "127.0.0.1", 8080), "172.16.0.1");
  assert.equal(await world.ask("tcp", "127.0.0.1", 8081), "refused");
  const next = await world.run("next", { publish: ["8081:80/tcp"] });
  assert.notEqual(next.address("bridge"), address);
};

export const relayKilled: Scenario = async (world) => {
  const web = await world.run("web", { publish: ["8080:80/tcp"] });
  await web.place.serve("tcp", 80);
  assert.equal(await world.ask("tcp", "127.0.0.1", 8080), "172.16.0.1");
  process.kill(world.relayPid(), "SIGKILL");
  await untilPasses(async () => {
    assert.equal(await world.ask("tcp", "127.0.0.1", 8080), "172.16.0.1");
  });
};

export const foundBridge: Scenario = async (world) => {
  const ip = (...args: readonly string[]): string => execFileSync("ip", args, { encoding: "utf8" });
  const addresses = (): string[] =>
    [...ip("-o", "addr", "show", "theirs").matchAll(/inet6? (\S+) .*scope global/g)]
      .map(([, cidr = ""]) => cidr)
      .toSorted();
  const config = [{ subnet: "10.80.0.0/24", ipRange: "", gateway: "", auxiliaryAddresses: {} }];
  const over = (link: string): Partial<NewNetwork> => ({
    ipam: { driver: "", options: {}, config },
    options: { "com.docker.network.bridge.name": link },
  });
  ip("link", "add", "theirs", "type", "bridge");
  for (const cidr of ["10.80.0.7/24", "10.81.0.7/24", "fd81::7/64"]) {
    ip("addr", "add", cidr, "dev", "theirs");
  }
  const after = ["10.80.0.1/24", "10.81.0.7/24", "fd81::7/64"];
  await world.createNetwork("net", over("theirs"));
  assert.deepEqual(addresses(), after);
  const web = await world.run("web", { network: "net" });
  await web.place.serve("tcp", 80);
  assert.equal(await world.ask("tcp", web.address("net"), 80), "10.80.0.1");
  await web.stop();
  await world.networking.teardownHost();
  assert.deepEqual(addresses(), after);
  await world.restart();
  await world.createNetwork("ours");
  await world.networking.remove("net");
  await world.networking.remove("ours");
  await untilPasses(() => {
    assert.doesNotMatch(ip("-br", "link"), /gtryt-/);
  });
  assert.deepEqual(addresses(), after);
  await assert.rejects(world.createNetwork("net", over("out0")), {
    kind: "internal",
    message: "existing interface out0 is not a bridge",
  });
  assert.match(ip("-br", "addr", "show", "out0"), /10\.99\.0\.1/);
};

/** The service dies when it keeps such changes, and another one comes. */
async function dyingAt(
  world: World,
  isLast: (change: DocumentChange) => boolean,
  work: () => Promise<unknown>,
): Promise<void> {
  const died = world.store.diesAt((changes) => changes.some(isLast));
  // Never answered.
  void work();
  await died;
  world.store.revive();
  await world.restart();
}

export const cutShort: Scenario = async (world) => {
  const ip = (...args: string[]): string => execFileSync("ip", args, { encoding: "utf8" });
  const linkNames = (): string[] =>
    (JSON.parse(ip("-j", "link")) as { ifname: string }[]).map(({ ifname }) => ifname);
  const options = { "com.docker.network.bridge.name": "quay0" };
  await dyingAt(
    world,
    ({ collection }) => collection === "network",
    () => world.createNetwork("quay", { options }),
  );
  assert.ok(!linkNames().includes("quay0"), "a bridge goes whose network was not kept");
  await world.createNetwork("quay", { options });
  await world.restart();
  assert.ok(linkNames().includes("quay0"));
  const quay = world.networking.inspect("quay").record;
  assert.ok(ip("-d", "link", "show", "quay0").includes(`alias gtryt network ${quay.id}`));
  await world.store.commit([{ collection: "network", key: quay.id, value: undefined }], []);
  await world.restart();
  assert.ok(!linkNames().includes("quay0"), "a bridge goes whose network was removed");

  ip("link", "add", "deck0", "type", "bridge");
  ip("link", "set", "deck0", "up");
  await world.createNetwork("lan", { driver: "macvlan", options: { parent: "deck0" } });
  const ship = await world.run("ship");
  await dyingAt(
    world,
    ({ value }) => (value as ContainerNetworks | undefined)?.endpoints.length === 2,
    () => world.connect("lan", "ship"),
  );
  assert.doesNotMatch(ship.place.run("ip", "link"), /eth1/, "an interface goes that was not kept");
  assert.match(ship.place.run("ip", "route"), /^default via \S+ dev eth0/);
  await world.connect("lan", "ship");
  assert.match(ship.place.run("ip", "link"), /eth1/);
  await world.restart();
  assert.match(ship.place.run("ip", "link"), /eth1/);
  // The name is taken: after this refusal nothing is under way.
  await world.networking.disconnect("lan", "ship", false);
  ship.place.run("ip", "link", "add", "eth1", "type", "bridge");
  await assert.rejects(world.connect("lan", "ship"), /"eth1": file exists$/);
  assert.ok(!("unsettled" in (world.store.load("endpoint").get(ship.id) as object)));
  ip("link", "del", "deck0");
};

export const tornDown: Scenario = async (world) => {
  await world.createNetwork("net");
  const web = await world.run("web", { network: "net", publish: ["8080:80/tcp"] });
  await web.stop();
  await world.networking.teardownHost();
  assert.equal(nft("list", "ruleset"), "");
  await untilPasses(() => {
    assert.doesNotMatch(execFileSync("ip", ["-br", "link"], { encoding: "utf8" }), /gtryt/);
  });
  assert.equal(await world.ask("tcp", "127.0.0.1", 8080), "refused");
  // The networks come back with the next start.
  await world.restart();
  assert.equal((await world.run("again", { network: "net" })).address("net"), "172.17.0.2");
};

export const besideDockerd: Scenario = async (world) => {
  // As a dockerd leaves it.
  nft(
    "add table ip filter; " +
      "add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }; " +
      "add chain ip filter DOCKER-USER; add rule ip filter FORWARD jump DOCKER-USER; " +
      "add rule ip filter DOCKER-USER return",
  );
  execFileSync("ip", ["link", "add", "docker0", "type", "bridge"]);
  execFileSync("ip", ["addr", "add", "172.20.0.1/16", "dev", "docker0"]);
  const theirs = nft("list", "chain", "ip", "filter", "FORWARD");
  const web = await world.run("web", { publish: ["8080:80/tcp"] });
  await web.place.serve("tcp", 80);
  await world.outside.serve("tcp", 80);
  await untilPasses(() => {
    assert.match(
      nft("list", "chain", "ip", "filter", "DOCKER-USER"),
      /iifname "gtryt0".*accept comment "gantry_t"/,
    );
  });
  assert.equal(await world.outside.ask("tcp", "10.99.0.1", 8080), "10.99.0.2");
  assert.equal(await web.place.ask("tcp", "10.99.0.2", 80), "10.99.0.1");
  assert.equal(nft("list", "chain", "ip", "filter", "FORWARD"), theirs);
  // Its subnets are not ours to take.
  await world.createNetwork("a");
  await world.createNetwork("b");
  await world.createNetwork("c");
  await world.createNetwork("d");
  const subnets = world.networking
    .list(new Map())
    .flatMap(({ record }) => record.ipam.config.map((each) => each.subnet));
  assert.ok(!subnets.includes("172.20.0.0/16"), subnets.join());
  await world.networking.teardownHost();
  assert.doesNotMatch(nft("list", "ruleset"), /gantry_t/);
  execFileSync("ip", ["link", "del", "docker0"]);
  await world.restart();
};
