import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { unavailable } from "@gantry/errors";
import { silentLogger } from "@gantry/logging";
import type { ImageUse } from "../../ports/images.ts";
import { openUserAnnouncer } from "./user-announcer.ts";

function use(containerId: string): ImageUse {
  return { containerId, imageId: "", reference: "", manifestDigest: "", running: true };
}

/** An image-service that notes what it is told, and answers when it is let. */
class Listener {
  readonly told: string[][] = [];
  answer = Promise.resolve();

  readonly send = async (uses: readonly ImageUse[]): Promise<void> => {
    this.told.push(uses.map(({ containerId }) => containerId));
    await this.answer;
  };
}

describe("the announcer of image users", () => {
  it("has nothing to settle before anything is announced", async () => {
    const listener = new Listener();
    await openUserAnnouncer(listener.send, silentLogger()).settled();
    assert.deepEqual(listener.told, []);
  });

  it("is settled when the newest list was heard, also one announced while another is on its way", async () => {
    const listener = new Listener();
    const gate = Promise.withResolvers<void>();
    listener.answer = gate.promise;
    const announcer = openUserAnnouncer(listener.send, silentLogger());
    announcer.announce(() => [use("a")]);
    const first = announcer.settled();
    assert.deepEqual(listener.told, [["a"]]);
    announcer.announce(() => [use("b")]);
    announcer.announce(() => [use("c")]);
    gate.resolve();
    await first;
    await announcer.settled();
    assert.deepEqual(listener.told, [["a"], ["c"]]);
  });

  it("does not wait for a service that is away, and tells it later", async (context) => {
    context.mock.timers.enable({ apis: ["setTimeout"] });
    const listener = new Listener();
    listener.answer = Promise.reject(unavailable("away"));
    const announcer = openUserAnnouncer(listener.send, silentLogger());
    announcer.announce(() => [use("a")]);
    await announcer.settled();
    await announcer.settled();
    assert.deepEqual(listener.told, [["a"]]);
    listener.answer = Promise.resolve();
    context.mock.timers.tick(1000);
    assert.deepEqual(listener.told, [["a"], ["a"]]);
  });
});
