import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseAddress, parseSubnet } from "./address.ts";
import {
  type BridgeRules,
  countRules,
  type RedirectedPort,
  renderPortChange,
  renderRuleset,
} from "./ruleset.ts";

function port(host: string, hostPort: number, container: string): RedirectedPort {
  return {
    protocol: "tcp",
    hostAddress: host === "" ? undefined : parseAddress(host),
    hostPort,
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

  it("let no neighbours through where containers may not talk to each other", () => {
    const text = render([
      bridge("a", "10.1.0.0/16"),
      bridge("b", "10.2.0.0/16", { interContainer: false }),
    ]);
    assert.match(text, /set neighbours \{[^}]*elements = \{ "a" \. "a" \}/);
  });

  it("change ports by elements, removals first", () => {
    const text = renderPortChange("t", [port("", 1, "10.0.0.2")], [port("", 1, "10.0.0.1")]);
    assert.equal(
      text,
      "delete element inet t dnat4any { tcp . 1 : 10.0.0.1 . 80 }\nadd element inet t dnat4any { tcp . 1 : 10.0.0.2 . 80 }\n",
    );
  });

  it("need no transaction when nothing changes", () => {
    assert.equal(renderPortChange("t", [], []), "");
  });

  it("are counted as they are rendered", () => {
    const bridges = [bridge("a", "10.1.0.0/16"), bridge("b", "10.2.0.0/16", { internal: true })];
    const counts = countRules(bridges);
    assert.equal(counts.get("postrouting"), 2);
    assert.equal(counts.get("published"), 5);
    assert.equal(counts.get("output"), 3);
    assert.equal(counts.get("inwards"), 3);
  });
});
