/** Images whose layers climb out of their root: nothing is written outside of it. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { makeDockerArchive, makeImage, makeLayer } from "@gantry/testkit/image-maker";
import { TestEngine } from "@gantry/testkit/test-engine";
import { keepsItsState } from "../src/refused.ts";

let engine: TestEngine;
let unchanged: () => Promise<void>;
before(async () => {
  engine = await TestEngine.start();
  unchanged = await keepsItsState(engine);
});
after(async () => {
  await unchanged();
  await engine[Symbol.asyncDispose]();
});

describe("an image whose layer", () => {
  const attacks = [
    { name: "climbs out by ..", header: { name: "../../../../../../../../gantry-escape" } },
    { name: "has an absolute path", header: { name: "/tmp/gantry-escape" } },
  ];
  for (const { name, header } of attacks) {
    it(`${name} writes nothing outside of its root`, async () => {
      const layer = await makeLayer([{ header, content: "escaped" }]);
      await engine.tryDocker(["load"], {
        input: await makeDockerArchive([
          { image: makeImage({ layers: [layer] }), tags: ["attack:1"] },
        ]),
      });
      assert.ok(!existsSync("/gantry-escape") && !existsSync("/tmp/gantry-escape"));
      await engine.tryDocker(["rmi", "attack:1"]);
    });
  }
  it("writes through a symbolic link stays inside its root", async () => {
    const layer = await makeLayer([
      { header: { name: "link", type: "symlink", linkname: "/tmp" } },
      { header: { name: "link/gantry-escape" }, content: "escaped" },
    ]);
    await engine.tryDocker(["load"], {
      input: await makeDockerArchive([
        { image: makeImage({ layers: [layer] }), tags: ["attack:2"] },
      ]),
    });
    assert.ok(!existsSync("/tmp/gantry-escape"));
    await engine.tryDocker(["rmi", "attack:2"]);
  });
});
