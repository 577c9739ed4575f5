/** What a client may not send: the receiver's tree would not be where it should be. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { PacketSchema } from "@gantry/proto/buildkit";
import type { ClientCall } from "../wire/client-call.ts";
import { MemoryTree } from "./memory-tree.ts";
import { PacketType } from "./packets.ts";
import { receiveTree } from "./receive-tree.ts";

const directory = 2 ** 31;
const symlink = 2 ** 27;

interface Sent {
  readonly path: string;
  readonly mode?: number;
  readonly linkname?: string;
}

/** A call whose peer sends these entries and then ends the list. */
function callWith(entries: readonly Sent[]): ClientCall {
  const packets = entries.map((entry) => ({
    type: PacketType.PACKET_STAT,
    stat: { mode: 0o644, ...entry },
  }));
  let cancelled = false;
  const call = {
    write: () => undefined,
    end: () => undefined,
    cancel() {
      cancelled = true;
    },
    async receive(take: (message: Buffer) => Promise<void> | undefined) {
      for (const packet of [...packets, { type: PacketType.PACKET_STAT }]) {
        if (cancelled) throw new Error("cancelled");
        await take(Buffer.from(toBinary(PacketSchema, create(PacketSchema, packet))));
      }
    },
  };
  return call as unknown as ClientCall;
}

test("refuses paths that lead elsewhere", async () => {
  const cases: readonly (readonly [readonly Sent[], RegExp])[] = [
    [[{ path: "../x" }], /invalid path/],
    [[{ path: "/x" }], /invalid path/],
    [[{ path: "a/../../x" }], /invalid path/],
    [[{ path: "a//b" }], /invalid path/],
    [[{ path: "" }], /invalid path/],
    [[{ path: "a/b" }], /before its directory/],
    [
      [{ path: "a", mode: symlink, linkname: "/etc" }, { path: "a/passwd" }],
      /before its directory/,
    ],
    [[{ path: "a" }, { path: "a/b" }], /before its directory/],
    [
      [
        { path: "a", mode: directory },
        { path: "a", mode: symlink },
      ],
      /sent twice/,
    ],
  ];
  for (const [entries, words] of cases) {
    const received = receiveTree(callWith(entries), new MemoryTree(), () => undefined);
    await assert.rejects(received, words, JSON.stringify(entries));
  }
});

test("tells a transfer that was cut from one that is complete", async () => {
  const received = receiveTree(callWith([{ path: "a" }]), new MemoryTree(), () => undefined);
  await assert.rejects(received, /ended the transfer before its end/);
});
