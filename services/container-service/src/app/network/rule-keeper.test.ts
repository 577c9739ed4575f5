import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { silentLogger } from "@gantry/logging";
import { parseAddress } from "../../domain/network/address.ts";
import type { PortElements } from "../../domain/network/port-elements.ts";
import { countRules, type RedirectedPort } from "../../domain/network/ruleset.ts";
import type { Held, PacketFilter, TableListing } from "../../ports/network-host.ts";
import { RuleKeeper } from "./rule-keeper.ts";

function port(hostPort: number): RedirectedPort {
  const containerAddress = parseAddress("172.17.0.2") ?? assert.fail();
  return { protocol: "tcp", hostPort, containerAddress, containerPort: 80 };
}

/** A kernel with one table, of which only the numbers of its rules and elements are known. */
class CountedTable implements PacketFilter {
  wholeWrites = 0;
  elements = new Map<string, number>();
  /** Called between the look at the table and the answer. */
  whileReading: () => void = () => undefined;

  apply(): Promise<void> {
    this.wholeWrites += 1;
    return Promise.resolve();
  }

  changeElements(_table: string, changes: readonly PortElements[]): void {
    for (const { map, remove, count } of changes) {
      this.elements.set(map, (this.elements.get(map) ?? 0) + (remove ? -count : count));
    }
  }

  async readTable(): Promise<TableListing> {
    const elements = new Map(this.elements);
    await Promise.resolve();
    this.whileReading();
    return { rules: countRules([]), elements };
  }

  watch(): Held {
    return { close: () => undefined };
  }
}

describe("looking after the table", () => {
  function open(): { table: CountedTable; keeper: RuleKeeper } {
    const table = new CountedTable();
    const keeper = new RuleKeeper({
      filter: table,
      table: "gantry",
      bridges: () => [],
      foreignBridges: () => Promise.resolve([]),
      logger: silentLogger(),
    });
    return { table, keeper };
  }

  it("writes it anew when others have changed it", async () => {
    const { table, keeper } = open();
    await keeper.rewrite();
    await keeper.change([port(80)], []);
    await keeper.verify();
    assert.equal(table.wholeWrites, 1);
    table.elements.clear();
    await keeper.verify();
    assert.equal(table.wholeWrites, 2);
  });

  it("takes its own change during the look for nobody else's, and looks again", async () => {
    const { table, keeper } = open();
    await keeper.rewrite();
    await keeper.change([port(80)], []);
    let looks = 0;
    table.whileReading = () => {
      looks += 1;
      if (looks === 1) void keeper.change([port(81)], []);
    };
    await keeper.verify();
    assert.deepEqual({ looks, wholeWrites: table.wholeWrites }, { looks: 2, wholeWrites: 1 });
  });
});
