import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { compressionOf, layerType } from "./image-format.ts";

const types = [
  ["application/vnd.oci.image.layer.v1.tar", "application/vnd.docker.image.rootfs.diff.tar"],
  [
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
  ],
  [
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
  ],
  [
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
  ],
] as const;

describe("media types of layers", () => {
  for (const [oci, docker] of types) {
    it(`have the same compression and a name in both families: ${oci}`, () => {
      assert.equal(compressionOf(oci), compressionOf(docker));
      for (const known of [oci, docker]) {
        assert.equal(layerType(known, compressionOf(known), true), oci);
        assert.equal(layerType(known, compressionOf(known), false), docker);
      }
    });
  }
});
