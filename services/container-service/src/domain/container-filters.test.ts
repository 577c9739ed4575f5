import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { compileFilters, type FilterContext } from "./container-filters.ts";

const nothing: FilterContext = {
  health: () => "none",
  isOnNetwork: () => false,
  mounts: () => false,
  published: () => [],
  exposed: () => [],
  createdNano: () => 0n,
  ancestors: () => undefined,
};

describe("filters of containers", () => {
  const refusals: readonly [string, readonly string[], string][] = [
    ["colour", ["red"], "invalid filter 'colour'"],
    [
      "status",
      ["foo"],
      "invalid filter 'status=foo': invalid value for state (foo): must be one of created, running, paused, restarting, removing, exited, dead",
    ],
    [
      "health",
      ["x"],
      "invalid filter 'health=x': invalid value for health (x): must be one of none, starting, healthy, unhealthy",
    ],
    ["exited", ["x"], `invalid filter 'exited=x': strconv.Atoi: parsing "x": invalid syntax`],
    ["is-task", ["x"], "invalid filter 'is-task=[x]'"],
    ["is-task", ["0", "1"], "invalid filter 'is-task=[0 1]'"],
    [
      "publish",
      ["80-x"],
      `error while looking up for publish 80-x: strconv.ParseUint: parsing "x": invalid syntax`,
    ],
    [
      "publish",
      ["99999"],
      `error while looking up for publish 99999: strconv.ParseUint: parsing "99999": value out of range`,
    ],
    [
      "expose",
      ["90-80"],
      "error while looking up for expose 90-80: Invalid range specified for the Port: 90-80",
    ],
  ];
  for (const [key, values, message] of refusals) {
    it(`refuses ${key}=${values.join(" and ")}`, () => {
      const act = (): void => {
        compileFilters({ [key]: values }, nothing);
      };
      assert.throws(act, { kind: "invalid_argument", message });
    });
  }
});
