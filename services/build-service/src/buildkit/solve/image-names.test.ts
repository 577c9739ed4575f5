import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readImageAttributes } from "./image-attributes.ts";
import { imageNaming } from "./image-names.ts";

const naming = (type: string, attrs: Readonly<Record<string, string>>) =>
  imageNaming({ type, attrs }, readImageAttributes(attrs));

describe("names of an exported image", () => {
  it("have tags with dockerd's exporter, each once", () => {
    assert.deepEqual(naming("moby", { name: "a,r.io/b:1,a:latest" }), {
      names: ["docker.io/library/a:latest", "r.io/b:1"],
      tagged: ["docker.io/library/a:latest", "r.io/b:1"],
      byDigest: [],
      prefix: "moby-dangling",
    });
  });

  it("are told of as they were given with BuildKit's", () => {
    assert.deepEqual(naming("image", { name: "r.io/b" }), {
      names: ["r.io/b"],
      tagged: ["r.io/b:latest"],
      byDigest: [],
      prefix: "",
    });
  });

  it("have no tag where the image is pushed by its digest", () => {
    const { tagged, byDigest } = naming("image", { name: "r.io/b", "push-by-digest": "true" });
    assert.deepEqual({ tagged, byDigest }, { tagged: [], byDigest: ["r.io/b"] });
  });

  it("keep a tag that can't be pushed by digest, so that the push can say so", () => {
    const { tagged, byDigest } = naming("image", { name: "r.io/b:1", "push-by-digest": "" });
    assert.deepEqual({ tagged, byDigest }, { tagged: ["r.io/b:1"], byDigest: [] });
  });

  it("are by name-canonical what they are anyhow: each can be asked for with the digest", () => {
    const given = { name: "b:1" };
    const canonical = naming("moby", { ...given, "name-canonical": "true" });
    assert.deepEqual(canonical, naming("moby", given));
  });

  it("are a prefix and the digest where there are none", () => {
    assert.deepEqual(naming("moby", { "dangling-name-prefix": "c" }), {
      ...{ names: [], tagged: [], byDigest: ["docker.io/library/c"], prefix: "c" },
    });
    assert.equal(naming("image", {}).prefix, "");
  });

  it("can't be digests", () => {
    const name = `a@sha256:${"0".repeat(64)}`;
    assert.throws(() => naming("moby", { name }), { message: "build tag cannot contain a digest" });
  });
});
