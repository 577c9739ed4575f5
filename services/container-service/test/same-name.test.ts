/** Networks and volumes that several clients make, use and remove at once. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { resolveKind } from "@gantry/errors";
import { startEngine, type TestEngine } from "./engine.ts";

const rounds = 30;

let engine: TestEngine;
before(async () => {
  engine = await startEngine();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
});

/** Kinds of the errors of acts that run at once, "" for what came out well. */
async function outcomes(...acts: Promise<unknown>[]): Promise<string[]> {
  const results = await Promise.allSettled(acts);
  return results.map((each) => (each.status === "rejected" ? resolveKind(each.reason) : ""));
}

describe("a volume", () => {
  it("that two make at once is made once, and there for both", async () => {
    for (let round = 0; round < rounds; round += 1) {
      const name = `twice-${String(round)}`;
      const make = () => engine.volumes.createVolume({ name });
      const made = await Promise.all([make(), make(), make()]);
      const [place = "", ...others] = made.map(({ volume }) => volume?.mountpoint ?? "");
      assert.ok(existsSync(place));
      assert.deepEqual(others, [place, place]);
      await engine.volumes.removeVolume({ name });
    }
  });

  it("that is made while it is removed is there or not, and can be made and removed again", async () => {
    const name = "again";
    for (let round = 0; round < rounds; round += 1) {
      const make = () => engine.volumes.createVolume({ name });
      const remove = () => engine.volumes.removeVolume({ name, force: true });
      assert.deepEqual(await outcomes(make(), remove(), make(), remove()), ["", "", "", ""]);
      const { volume } = await make();
      assert.ok(existsSync(volume?.mountpoint ?? ""));
    }
    await engine.volumes.removeVolume({ name });
  });
});

describe("a network that is being made", () => {
  it("is not pruned, removed or listed before it is there", async () => {
    const name = "soon";
    for (let round = 0; round < rounds; round += 1) {
      let isMade = false;
      const made = engine.networks.createNetwork({ name }).finally(() => {
        isMade = true;
      });
      const gone: string[] = [];
      while (!isMade) {
        const { deleted } = await engine.networks.pruneNetworks({});
        gone.push(...deleted);
        const [removed] = await outcomes(engine.networks.removeNetwork({ network: name }));
        if (removed === "") gone.push(name);
        else assert.equal(removed, "not_found");
      }
      // Who removes it that early finds it whole.
      const { id } = await made;
      const { networks } = await engine.networks.listNetworks({});
      const isThere = networks.some((each) => each.id === id);
      assert.deepEqual({ isThere, gone }, { isThere, gone: isThere ? [] : [name] });
      if (isThere) await engine.networks.removeNetwork({ network: id });
    }
  });

  it("has its name already", async () => {
    const make = () => engine.networks.createNetwork({ name: "once" });
    assert.deepEqual((await outcomes(make(), make(), make())).sort(), [
      "",
      "already_exists",
      "already_exists",
    ]);
    await engine.networks.removeNetwork({ network: "once" });
  });
});

describe("a network that somebody begins to use while others are pruned", () => {
  it("stays", async () => {
    const names = ["a", "b", "c"].map((letter) => `pruned-${letter}`);
    let begun = 0;
    // Who was quicker is nobody's to say: until somebody began to use one while others went.
    while (begun === 0) {
      const onBridge = { hostConfig: { networkMode: "bridge" } };
      const container = await engine.create("exec sleep 1000", onBridge);
      // One that did not run could be connected to those that are gone.
      await engine.containers.startContainer({ container });
      for (const name of names) await engine.networks.createNetwork({ name });
      const pruned = engine.networks.pruneNetworks({});
      const results = await outcomes(
        ...names.map((network) => engine.networks.connectNetwork({ network, container })),
      );
      const { deleted } = await pruned;
      const used = names.filter((_name, index) => results[index] === "");
      assert.deepEqual([...deleted, ...used].sort(), names);
      begun = deleted.length === 0 ? 0 : used.length;
      await engine.containers.removeContainer({ container, force: true });
      await engine.networks.pruneNetworks({});
    }
  });
});

describe("a network that is removed while a container comes into it", () => {
  const name = "entered";
  /** Removes it again and again until `entering` has come to an end. Returns how both came out. */
  async function removeWhile(entering: Promise<unknown>): Promise<readonly [string, boolean]> {
    let hasEnded = false;
    const entered = outcomes(entering).finally(() => {
      hasEnded = true;
    });
    let isRemoved = false;
    while (!hasEnded && !isRemoved) {
      const [kind = ""] = await outcomes(engine.networks.removeNetwork({ network: name }));
      if (kind !== "") assert.equal(kind, "permission_denied");
      isRemoved = kind === "";
    }
    const [kind = ""] = await entered;
    return [kind, isRemoved];
  }

  it("stays, or the container is told that there is none", async () => {
    for (let round = 0; round < rounds; round += 1) {
      await engine.networks.createNetwork({ name });
      const started = round % 2 === 0;
      const networkMode = started ? name : "bridge";
      const container = await engine.create("sleep 1000", { hostConfig: { networkMode } });
      if (!started) await engine.containers.startContainer({ container });
      // Each round a little later.
      const entering = started
        ? engine.containers.startContainer({ container })
        : engine.networks.connectNetwork({ network: name, container });
      for (let look = 0; look < round; look += 1) await engine.stateOf(container);
      const outcome = await removeWhile(entering);
      assert.ok(
        (outcome[0] === "" && !outcome[1]) || (outcome[0] === "not_found" && outcome[1]),
        `round ${String(round)}: ${outcome.join()}`,
      );
      await engine.containers.removeContainer({ container, force: true });
      await outcomes(engine.networks.removeNetwork({ network: name }));
    }
  });
});
