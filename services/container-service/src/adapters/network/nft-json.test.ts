import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseFilterTable } from "./nft-filter-table.ts";
import { parseTableListing } from "./nft-json.ts";

function json(...nftables: readonly object[]): string {
  return JSON.stringify({ nftables: [{ metainfo: { json_schema_version: 1 } }, ...nftables] });
}

const inet = { family: "inet", table: "gantry" };
const filter = { family: "ip", table: "filter" };

describe("listing of our table", () => {
  it("counts rules and elements of that table only", () => {
    const listing = parseTableListing(
      json(
        { table: { family: "inet", name: "gantry" } },
        { chain: { ...inet, name: "output" } },
        { chain: { ...inet, name: "empty" } },
        { rule: { ...inet, chain: "output", handle: 1 } },
        { rule: { ...inet, table: "theirs", chain: "output", handle: 2 } },
        { map: { ...inet, name: "dnat4any", elem: [1, 2] } },
        { set: { ...inet, name: "bridges" } },
      ),
      "gantry",
    );
    assert.deepEqual(
      [...(listing?.rules ?? [])],
      [
        ["output", 1],
        ["empty", 0],
      ],
    );
    assert.deepEqual(
      [...(listing?.elements ?? [])],
      [
        ["dnat4any", 2],
        ["bridges", 0],
      ],
    );
  });

  it("is nothing when the table is gone, or only one of that name in another family", () => {
    assert.equal(parseTableListing(json(), "gantry"), undefined);
    assert.equal(
      parseTableListing(json({ table: { family: "ip", name: "gantry" } }), "gantry"),
      undefined,
    );
  });
});

describe("listing of another engine's filter table", () => {
  const match = { match: { left: { meta: { key: "iifname" } }, right: "gtry0" } };
  const chains = parseFilterTable(
    json(
      { chain: { ...filter, name: "FORWARD", policy: "drop" } },
      { chain: { ...filter, family: "ip6", name: "FORWARD", policy: "accept" } },
      { chain: { ...filter, name: "DOCKER-USER" } },
      {
        rule: {
          ...filter,
          chain: "FORWARD",
          handle: 1,
          expr: [{ jump: { target: "DOCKER-USER" } }],
        },
      },
      {
        rule: {
          ...filter,
          chain: "DOCKER-USER",
          handle: 7,
          comment: "tag",
          expr: [match, { accept: null }],
        },
      },
      { rule: { ...filter, chain: "DOCKER-USER", handle: 8, comment: "other", expr: [match] } },
      { rule: { ...filter, chain: "DOCKER-USER", handle: 9 } },
    ),
    "ip",
    "tag",
  );

  it("tells policies and jumps of one family", () => {
    assert.deepEqual(
      chains.map(({ name, policy, jumpsTo }) => ({ name, policy, jumpsTo })),
      [
        { name: "FORWARD", policy: "drop", jumpsTo: ["DOCKER-USER"] },
        { name: "DOCKER-USER", policy: "", jumpsTo: [] },
      ],
    );
  });

  it("tells our rules from all others by their comment", () => {
    assert.deepEqual(chains[1]?.ours, [{ handle: 7, direction: "iifname", link: "gtry0" }]);
  });
});
