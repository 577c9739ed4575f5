import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { silentLogger } from "@gantry/logging";
import { loadKernel } from "@gantry/native";
import { NftForeignFirewall } from "./foreign-firewall.ts";
import { NftProgram } from "./nft-program.ts";

const nothing = { nftables: [] };
const filter = { family: "ip", table: "filter" };
const dropping = { nftables: [{ chain: { ...filter, name: "FORWARD", policy: "drop" } }] };

describe("the firewall of another engine", () => {
  let dir: string;
  let firewall: NftForeignFirewall;
  const at = (name: string): string => path.join(dir, name);

  beforeEach(() => {
    dir = mkdtempSync(path.join(tmpdir(), "gantry-firewall-"));
    const program = at("nft");
    // Lists what the file says, and keeps what it is given.
    writeFileSync(
      program,
      `#!/bin/sh\necho "$1" >> ${at("calls")}\nif [ "$1" = -j ]; then cat ${at("listing")}; else cat >> ${at("given")}; fi\n`,
    );
    chmodSync(program, 0o755);
    const nft = new NftProgram({ program, kernel: loadKernel() });
    firewall = new NftForeignFirewall({ nft, tag: "gantry_t", logger: silentLogger() });
  });
  afterEach(() => {
    rmSync(dir, { recursive: true });
  });

  const list = (listing: object): void => {
    writeFileSync(at("listing"), JSON.stringify(listing));
  };
  const calls = (): string => readFileSync(at("calls"), "utf8").replaceAll("\n", " ");

  it("is looked at again for a new bridge only where it was in the way", async () => {
    list(nothing);
    await firewall.admit(["a"]);
    await firewall.bridgesChanged(["a", "b"]);
    assert.equal(calls(), "-j ");
    list(dropping);
    await firewall.admit(["a", "b"]);
    await firewall.bridgesChanged(["a", "b", "c"]);
    assert.equal(calls(), "-j -j -f -j -f ");
    assert.match(readFileSync(at("given"), "utf8"), /insert rule ip filter FORWARD iifname "c"/);
  });

  it("is looked at again after a look that failed", async () => {
    list(nothing);
    await firewall.admit(["a"]);
    writeFileSync(at("listing"), "not JSON");
    await assert.rejects(firewall.admit(["a"]), SyntaxError);
    list(dropping);
    await firewall.bridgesChanged(["a"]);
    assert.equal(calls(), "-j -j -j -f ");
  });
});
