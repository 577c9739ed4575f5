/** The rules that are rendered, read by nft itself. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { run } from "@gantry/testkit";
import { parseSubnet } from "../src/domain/network/address.ts";
import { type BridgeRules, renderRuleset } from "../src/domain/network/ruleset.ts";

const bridges = ["10.1.0.0/16", "fd01::/64"].map(
  (cidr, index): BridgeRules => ({
    ...{ link: `br${String(index)}`, subnets: [parseSubnet(cidr) ?? assert.fail(cidr)] },
    ...{ internal: false, masquerade: true, interContainer: true },
  }),
);

describe("rules", () => {
  it("name protocols that nft knows itself: a small system has no /etc/protocols", async () => {
    const script = "mount --bind /dev/null /etc/protocols && exec nft --check --file -";
    const input = renderRuleset({ table: "gantry_check", bridges, ports: [], foreignBridges: [] });
    // Where there is no such file, there is nothing to hide.
    const hidden = `if [ -e /etc/protocols ]; then ${script}; else exec nft --check --file -; fi`;
    const ran = await run(["unshare", "--mount", "sh", "-c", hidden], { input });
    assert.deepEqual([ran.code, ran.stderr], [0, ""]);
  });
});
