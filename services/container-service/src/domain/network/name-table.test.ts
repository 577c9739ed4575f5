import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { upstreamBytes } from "./name-table.ts";

describe("upstreams of a name table", () => {
  it("have their addresses in bytes, and the link of a link-local one", () => {
    const fe80 = Uint8Array.from([0xfe, 0x80, ...Array<number>(13).fill(0), 1]);
    assert.deepEqual(
      upstreamBytes([
        { address: "192.0.2.1", fromHost: true },
        { address: "fe80::1%eth0", fromHost: true },
        { address: "fe80::1%2", fromHost: false },
      ]),
      [
        { address: Uint8Array.of(192, 0, 2, 1), fromHost: true },
        { address: fe80, fromHost: true, zone: "eth0" },
        { address: fe80, fromHost: false, zone: "2" },
      ],
    );
  });
});
