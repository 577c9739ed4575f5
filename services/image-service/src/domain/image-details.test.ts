import assert from "node:assert/strict";
import { it } from "node:test";
import { parseDigest } from "@gantry/oci";
import { shownNames } from "./image-details.ts";

it("shows names in the order of their full forms, digests once for each repository", () => {
  const target = parseDigest(`sha256:${"1".repeat(64)}`);
  const names = [
    "localhost:5000/b:latest",
    "docker.io/library/zz:latest",
    "docker.io/library/zz:2",
    "docker.io/aa/x:latest",
    "127.0.0.1:5000/q:latest",
    "a.b/c:latest",
  ].map((name) => ({ name, digest: target, taggedNano: 0n }));
  assert.deepEqual(shownNames(names, target), {
    repoTags: [
      "127.0.0.1:5000/q:latest",
      "a.b/c:latest",
      "aa/x:latest",
      "zz:2",
      "zz:latest",
      "localhost:5000/b:latest",
    ],
    repoDigests: ["127.0.0.1:5000/q", "a.b/c", "aa/x", "zz", "localhost:5000/b"].map(
      (repository) => `${repository}@${target}`,
    ),
  });
});
