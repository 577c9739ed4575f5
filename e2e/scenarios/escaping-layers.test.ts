/** Images whose layers climb out of their root: nothing is written outside of it. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { describe, it } from "node:test";
import { makeDockerArchive, makeImage, makeLayer } from "@gantry/testkit/image-maker";
import { useRefusalBed } from "../src/refusal-bed.ts";

const bed = useRefusalBed();

describe("an image whose layer", () => {
  const attacks = [
    { name: "climbs out by ..", header: { name: "../../../../../../../../gantry-escape" } },
    { name: "has an absolute path", header: { name: "/tmp/gantry-escape" } },
  ];
  for (const { name, header } of attacks) {
    it(`${name} writes nothing outside of its root`, async () => {
      const layer = await makeLayer([{ header, content: "escaped" }]);
      await bed.engine.tryDocker(["load"], {
        input: await makeDockerArchive([
          { image: makeImage({ layers: [layer] }), tags: ["attack:1"] },
        ]),
      });
      assert.ok(!existsSync("/gantry-escape") && !existsSync("/tmp/gantry-escape"));
      await bed.engine.tryDocker(["rmi", "attack:1"]);
    });
  }
  it("writes through a symbolic link stays inside its root", async () => {
    const layer = await makeLayer([
      { header: { name: "link", type: "symlink", linkname: "/tmp" } },
      { header: { name: "link/gantry-escape" }, content: "escaped" },
    ]);
    await bed.engine.tryDocker(["load"], {
      input: await makeDockerArchive([
        { image: makeImage({ layers: [layer] }), tags: ["attack:2"] },
      ]),
    });
    assert.ok(!existsSync("/tmp/gantry-escape"));
    await bed.engine.tryDocker(["rmi", "attack:2"]);
  });
});
