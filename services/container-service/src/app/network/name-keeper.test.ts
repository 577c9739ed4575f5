import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { notFound } from "@gantry/errors";
import { silentLogger } from "@gantry/logging";
import type { ContainerDirectory } from "../../ports/networking.ts";
import { NameKeeper } from "./name-keeper.ts";
import { NetworkRegistry } from "./registry.ts";

const directory: ContainerDirectory = {
  find: (reference) => {
    throw notFound("container", reference);
  },
  byId: () => undefined,
  exclusively: (_id, run) => run(),
};
const settings = { upstreams: [], keepSingleLabels: false };

/** A keeper whose server refuses so often; resolves with the pauses that it made until it was told. */
async function pausesOf(refusals: number): Promise<number[]> {
  const pauses: number[] = [];
  const told = Promise.withResolvers<undefined>();
  let left = refusals;
  const keeper = new NameKeeper({
    registry: new NetworkRegistry(),
    directory,
    logger: silentLogger(),
    pause: (ms) => {
      pauses.push(ms);
      return Promise.resolve();
    },
    servers: {
      update: () => {
        if (left-- > 0) return Promise.reject(notFound("network", "x"));
        told.resolve(undefined);
        return Promise.resolve();
      },
    },
  });
  keeper.renew("container", settings);
  await told.promise;
  return pauses;
}

describe("a name server that does not know a network", () => {
  it("is sent the whole table at once", async () => {
    assert.deepEqual(await pausesOf(1), []);
  });

  it("is sent it ever more slowly when that does not help", async () => {
    assert.deepEqual(await pausesOf(8), [50, 100, 200, 400, 800, 1000, 1000]);
  });
});
