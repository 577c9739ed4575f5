import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkCompany, checkNewcomer } from "./company.ts";
import { parseMode } from "./network-modes.ts";
import type { NetworkDriver } from "./records.ts";

const shared =
  "container sharing network namespace with another container or host cannot be connected to any other network";
const withNone =
  "container cannot be connected to multiple networks with one of the networks in private (none) mode";
const toHost =
  "cannot connect container to host network - container must be created in host network mode";

function networks(...drivers: NetworkDriver[]): { driver: NetworkDriver }[] {
  return drivers.map((driver) => ({ driver }));
}

describe("networks of one container", () => {
  for (const [mode, drivers] of [
    ["bridge", ["bridge", "macvlan"]],
    ["host", ["host"]],
    ["none", ["null"]],
    // It asks for an endpoint elsewhere alone.
    ["none", ["bridge"]],
    ["bridge", ["null"]],
    ["bridge", []],
  ] as const) {
    it(`can be ${drivers.join(" and ") || "none"} in mode ${mode}`, () => {
      checkCompany(parseMode(mode), networks(...drivers));
    });
  }

  for (const [mode, drivers, message] of [
    ["bridge", ["bridge", "null"], withNone],
    ["none", ["null", "bridge"], withNone],
    ["host", ["host", "bridge"], shared],
    ["host", ["bridge", "host"], shared],
    ["host", ["bridge"], shared],
    ["bridge", ["host"], toHost],
    ["bridge", ["bridge", "host"], toHost],
  ] as const) {
    it(`cannot be ${drivers.join(" and ")} in mode ${mode}`, () => {
      assert.throws(
        () => {
          checkCompany(parseMode(mode), networks(...drivers));
        },
        { kind: "invalid_argument", message },
      );
    });
  }

  it("are judged by what is there when one is added", () => {
    checkNewcomer(parseMode("none"), [], { driver: "bridge" });
    assert.throws(
      () => {
        checkNewcomer(parseMode("bridge"), networks("bridge"), { driver: "null" });
      },
      { kind: "invalid_argument", message: withNone },
    );
  });
});
