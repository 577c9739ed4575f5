import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { silentLogger } from "@gantry/logging";
import { PortAllocator } from "../../domain/network/port-allocator.ts";
import type { WantedPort } from "../../domain/network/port-spec.ts";
import type { PublishedPort } from "../../domain/network/records.ts";
import type { Protocol } from "../../domain/network/ruleset.ts";
import { type PublishContext, publishPorts, unpublishPorts } from "./publish-ports.ts";
import { RuleKeeper } from "./rule-keeper.ts";
import { UdpFlows } from "./udp-flows.ts";

const nothing = (): Promise<void> => Promise.resolve();

describe("the flows of a UDP port", () => {
  /** What the kernel was told, in order. */
  let told: string[];
  /** Ends each forgetting that has begun. */
  let forgettings: PromiseWithResolvers<void>[];
  let context: PublishContext;

  beforeEach(async () => {
    told = [];
    forgettings = [];
    const rules = new RuleKeeper({
      table: "t",
      bridges: () => [],
      foreignBridges: () => Promise.resolve([]),
      logger: silentLogger(),
      filter: {
        apply: nothing,
        readTable: () => Promise.resolve(undefined),
        watch: () => ({ close: () => undefined }),
        changeElements: (_table, changes) => {
          for (const { remove } of changes) told.push(remove ? "no longer lead" : "lead");
        },
      },
    });
    // The whole table is written by the first change; those of the tests are differences.
    await rules.rewrite();
    context = {
      ports: new PortAllocator({ first: 40_000, last: 40_010 }),
      rules,
      relay: {
        listen: () => Promise.resolve(true),
        close: nothing,
        restore: () => Promise.resolve([]),
        stop: nothing,
        disconnect: () => undefined,
      },
      udpFlows: new UdpFlows(),
      links: {
        hasSctp: () => Promise.resolve(false),
        forgetUdpFlows: (ports) => {
          told.push(`forget ${ports.join()}`);
          const forgetting = Promise.withResolvers<void>();
          forgettings.push(forgetting);
          return forgetting.promise;
        },
      },
      hostHasIpv6: false,
      logger: silentLogger(),
    };
  });

  async function publish(protocol: Protocol, to: string): Promise<PublishedPort[]> {
    const wanted: WantedPort = {
      container: { port: 53, protocol },
      hostPorts: { first: 5353, last: 5353 },
    };
    return await publishPorts(context, [wanted], {
      live: { ipv4: `${to}/24`, ipv6: "" },
      routed: [],
      trusting: [],
      defaultHostAddress: "0.0.0.0",
    });
  }

  /** Ends the oldest forgetting, once it has begun. */
  async function forgotten(outcome: "well" | "badly" = "well"): Promise<void> {
    while (forgettings.length === 0) await new Promise(setImmediate);
    const oldest = forgettings.shift();
    if (outcome === "well") oldest?.resolve();
    else oldest?.reject(new Error("the kernel does not want to"));
  }

  for (const outcome of ["well", "badly"] as const) {
    it(`are forgotten before the next container has the port, when that goes ${outcome}`, async () => {
      const first = publish("udp", "10.0.0.2");
      await forgotten();
      unpublishPorts(context, await first);
      const second = publish("udp", "10.0.0.3");
      // All that can happen without the kernel's answer.
      for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
      assert.deepEqual(told, ["lead", "forget 5353", "no longer lead", "forget 5353"]);
      await forgotten(outcome);
      await forgotten();
      assert.equal((await second)[0]?.targetIpv4, "10.0.0.3");
      assert.deepEqual(told.slice(4), ["lead", "forget 5353"]);
    });
  }

  it("hold up nothing of TCP", async () => {
    const first = publish("udp", "10.0.0.2");
    await forgotten();
    unpublishPorts(context, await first);
    assert.equal((await publish("tcp", "10.0.0.3")).length, 1);
    await forgotten();
  });
});
