import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseAddress, parseSubnet } from "./address.ts";
import { portElements } from "./port-elements.ts";
import { type BridgeRules, countRules, type RedirectedPort, renderRuleset } from "./ruleset.ts";

/** Without a port of the host it is let through as it is. */
function port(host: string, hostPort: number | undefined, container: string): RedirectedPort {
  return {
    protocol: "tcp",
    hostAddress: host === "" ? undefined : parseAddress(host),
    ...(hostPort === undefined ? {} : { hostPort }),
    containerAddress: parseAddress(container) ?? assert.fail(container),
    containerPort: 80,
  };
}

function bridge(link: string, cidr: string, rest: Partial<BridgeRules> = {}): BridgeRules {
  return {
    link,
    subnets: [parseSubnet(cidr) ?? assert.fail(cidr)],
    internal: false,
    masquerade: true,
    interContainer: true,
    ...rest,
  };
}

function render(bridges: BridgeRules[], ports: RedirectedPort[] = []): string {
  return renderRuleset({ table: "t", bridges, ports, foreignBridges: ["docker0"] });
}

describe("rules", () => {
  it("replace the whole table in one transaction", () => {
    assert.match(render([]), /^table inet t \{\}\ndelete table inet t\ntable inet t \{\n/);
  });

  it("put a published port into the map of its family and kind of address", () => {
    const text = render([], [port("", 8080, "172.17.0.2"), port("fd00::2", 53, "fd01::2")]);
    assert.match(text, /map dnat4any \{.*elements = \{ tcp \. 8080 : 172\.17\.0\.2 \. 80 \}/);
    assert.match(text, /map dnat6one \{.*elements = \{ tcp \. fd00::2 \. 53 : fd01::2 \. 80 \}/);
  });

  it("masquerade what leaves a network, but not of internal ones or where it is off", () => {
    const text = render([
      bridge("a", "10.1.0.0/16"),
      bridge("b", "10.2.0.0/16", { internal: true }),
      bridge("c", "10.3.0.0/16", { masquerade: false }),
    ]);
    assert.match(text, /ip saddr 10\.1\.0\.0\/16 oifname != "a" masquerade/);
    assert.doesNotMatch(text, /10\.2\.0\.0/);
    assert.doesNotMatch(text, /10\.3\.0\.0\/16 oifname/);
  });

  it("hide what leaves a network behind the address that was asked for", () => {
    const sources = ["192.0.2.7", "fd00::7"].flatMap((text) => parseAddress(text) ?? []);
    const text = render([
      bridge("a", "10.1.0.0/16", { sources }),
      bridge("b", "fd01::/64", { sources }),
    ]);
    assert.match(text, /ip saddr 10\.1\.0\.0\/16 oifname != "a" snat ip to 192\.0\.2\.7\n/);
    assert.match(text, /ip6 saddr fd01::\/64 oifname != "b" snat ip6 to fd00::7\n/);
  });

  it("let no neighbours through where containers may not talk to each other", () => {
    const text = render([
      bridge("a", "10.1.0.0/16"),
      bridge("b", "10.2.0.0/16", { interContainer: false }),
    ]);
    assert.match(text, /set neighbours \{[^}]*elements = \{ "a" \. "a" \}/);
    assert.match(text, /set apart \{[^}]*elements = \{ "b" \}/);
  });

  it("let callers in by a route as far as the gateway mode says, family by family", () => {
    const text = render(
      [
        bridge("a", "10.1.0.0/16", { direct: { 4: "published" } }),
        bridge("b", "10.2.0.0/16", { direct: { 4: "everything", 6: "published" } }),
        bridge("c", "10.3.0.0/16", { direct: { 4: "everything" }, internal: true }),
      ],
      [port("", undefined, "10.1.0.2")],
    );
    assert.match(text, /set routed4 \{ type ifname; elements = \{ "a" \} \}/);
    assert.match(text, /set open4 \{ type ifname; elements = \{ "b" \} \}/);
    assert.match(text, /set routed6 \{ type ifname; elements = \{ "b" \} \}/);
    assert.match(text, /set direct4 \{.*elements = \{ tcp \. 10\.1\.0\.2 \. 80 \} \}/);
    assert.doesNotMatch(text, /10\.1\.0\.0\/16 oifname != "a" masquerade/);
    assert.match(text, /10\.2\.0\.0\/16 oifname != "b" masquerade/);
  });

  it("let trusted interfaces call what is published, but of no internal network", () => {
    const trusted = ["eth0", "wl+", "+"];
    const text = render(
      [
        bridge("a", "10.1.0.0/16", { trusted }),
        bridge("b", "10.2.0.0/16", { trusted, internal: true }),
      ],
      [{ ...port("", undefined, "10.1.0.2"), onlyTrusted: true }],
    );
    assert.match(text, /iifname "eth0" oifname "a" jump trusting\n/);
    assert.match(text, /iifname "wl\*" oifname "a" jump trusting\n/);
    assert.match(text, /\n {4}oifname "a" jump trusting\n/);
    assert.doesNotMatch(text, /oifname "b" jump trusting/);
    assert.match(text, /set trusted4 \{.*elements = \{ tcp \. 10\.1\.0\.2 \. 80 \} \}/);
    assert.match(text, /set direct4 \{ type [^=]* \}\n/);
  });

  it("are counted as they are rendered", () => {
    const bridges = [bridge("a", "10.1.0.0/16"), bridge("b", "10.2.0.0/16", { internal: true })];
    const counts = countRules(bridges);
    assert.equal(counts.get("postrouting"), 2);
    assert.equal(counts.get("published"), 5);
    assert.equal(counts.get("output"), 3);
    assert.equal(counts.get("inwards"), 10);
    const trusted = ["eth0", "wl+"];
    assert.equal(countRules([bridge("a", "10.1.0.0/16", { trusted })]).get("inwards"), 12);
  });
});

describe("elements of published ports", () => {
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

  it("have the kernel's form, removals first", () => {
    const changes = portElements([port("", 1, "10.0.0.2")], [port("", 1, "10.0.0.1")]);
    assert.deepEqual(
      changes.map(({ map, remove, count }) => ({ map, remove, count })),
      [
        { map: "dnat4any", remove: true, count: 1 },
        { map: "dnat4any", remove: false, count: 1 },
      ],
    );
    assert.equal(hex(changes[1]?.keys ?? Buffer.of()), "0600000000010000");
    assert.equal(hex(changes[1]?.values ?? Buffer.of()), "0a00000200500000");
  });

  it("name the host's address where there is one", () => {
    const [change] = portElements([port("fd00::2", 53, "fd01::2")], []);
    assert.equal(change?.map, "dnat6one");
    assert.equal(hex(change.keys), `06000000fd00${"0".repeat(26)}0200350000`);
    assert.equal(hex(change.values), `fd01${"0".repeat(26)}0200500000`);
  });

  it("have no value where a port is let through as it is", () => {
    const [change] = portElements([port("", undefined, "10.0.0.2")], []);
    assert.equal(change?.map, "direct4");
    assert.equal(hex(change.keys), "060000000a00000200500000");
    assert.equal(change.values.length, 0);
  });

  it("are none when nothing changes", () => {
    assert.deepEqual(portElements([], []), []);
  });
});
