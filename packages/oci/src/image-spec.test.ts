import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  chainIds,
  type Digest,
  isDigest,
  parseDigest,
  sha256Digest,
  shortDigest,
} from "./digest.ts";
import { configPlatform, parseImageConfig, parseManifestOrIndex } from "./image-spec.ts";
import { mediaTypes } from "./media-types.ts";
import {
  formatPlatform,
  normalizePlatform,
  parsePlatform,
  platformDistance,
  samePlatform,
} from "./platform.ts";

const digest = sha256Digest("x");
const bytes = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));
const descriptor = { mediaType: mediaTypes.ociConfig, digest, size: 1 };

describe("parseManifestOrIndex", () => {
  it("tells manifest from index by what is in it", () => {
    const manifest = parseManifestOrIndex(
      bytes({ schemaVersion: 2, config: descriptor, layers: [] }),
      "",
    );
    assert.equal(manifest.kind, "manifest");
    const index = parseManifestOrIndex(
      bytes({ schemaVersion: 2, manifests: [descriptor] }),
      mediaTypes.ociIndex,
    );
    assert.equal(index.kind, "index");
  });

  const bad: readonly [string, unknown, string][] = [
    ["both", { manifests: [], layers: [] }, ""],
    [
      "both, the other half being config",
      { manifests: [], config: descriptor },
      mediaTypes.ociIndex,
    ],
    ["an index said to be a manifest", { manifests: [] }, mediaTypes.ociManifest],
    [
      "a media type of its own that differs",
      { manifests: [], mediaType: mediaTypes.dockerList },
      mediaTypes.ociIndex,
    ],
    ["no digest", { config: { ...descriptor, digest: "sha256:x" } }, ""],
    ["a negative size", { config: { ...descriptor, size: -1 } }, ""],
    ["a fraction", { config: { ...descriptor, size: 1.5 } }, ""],
    ["another schema", { schemaVersion: 3, config: descriptor }, ""],
    ["a list", [], ""],
    ["null", null, ""],
  ];
  for (const [name, value, type] of bad) {
    it(`refuses ${name}`, () => {
      assert.throws(() => parseManifestOrIndex(bytes(value), type), { kind: "invalid_argument" });
    });
  }

  it("throws nothing but invalid_argument, whatever the bytes", () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.uint8Array(), fc.jsonValue().map(bytes)),
        fc.constantFrom("", mediaTypes.ociIndex),
        (input, type) => {
          for (const parse of [
            () => parseManifestOrIndex(input, type),
            () => parseImageConfig(input),
          ]) {
            try {
              parse();
            } catch (error) {
              assert.equal((error as { kind?: string }).kind, "invalid_argument");
            }
          }
        },
      ),
      { numRuns: 1000 },
    );
  });
});

describe("parseImageConfig", () => {
  it("wants a list of layers, and takes null for what is empty", () => {
    const config = parseImageConfig(
      bytes({
        rootfs: { type: "layers", diff_ids: [digest] },
        config: { Env: null, Cmd: null },
        os: "linux",
        architecture: "arm64",
        variant: "v8",
      }),
    );
    assert.deepEqual(config.rootfs.diff_ids, [digest]);
    assert.deepEqual(configPlatform(config), { os: "linux", architecture: "arm64", variant: "v8" });
    assert.throws(() => parseImageConfig(bytes({})), { kind: "invalid_argument" });
    assert.throws(
      () => parseImageConfig(bytes({ rootfs: { diff_ids: [digest] }, history: [null] })),
      { kind: "invalid_argument" },
    );
  });
});

describe("digests", () => {
  it("are lower-case hexadecimal of the right length", () => {
    assert.ok(isDigest(digest) && isDigest(`sha512:${"0".repeat(128)}`));
    for (const bad of [
      "",
      "sha256:",
      `sha256:${"A".repeat(64)}`,
      `md5:${"0".repeat(32)}`,
      `${digest}0`,
      `__proto__:${"0".repeat(64)}`,
    ]) {
      assert.throws(() => parseDigest(bad), { kind: "invalid_argument" });
    }
    assert.equal(shortDigest(digest), digest.slice(7, 19));
  });

  it("chain as the image specification says", () => {
    const [a, b] = [sha256Digest("a"), sha256Digest("b")] as [Digest, Digest];
    assert.deepEqual(chainIds([]), []);
    assert.deepEqual(chainIds([a, b]), [a, sha256Digest(`${a} ${b}`)]);
  });
});

describe("platforms", () => {
  it("are read, normalized and written", () => {
    for (const [text, form] of [
      ["linux/x86_64", "linux/amd64"],
      ["linux/aarch64/v8", "linux/arm64"],
      ["linux/armhf", "linux/arm/v7"],
      ["linux/arm", "linux/arm/v7"],
      ["arm64", "linux/arm64"],
      ["linux/i386", "linux/386"],
    ] as const) {
      assert.equal(formatPlatform(parsePlatform(text)), form);
    }
    assert.throws(() => parsePlatform("foo"), {
      message: '"foo": unknown operating system or architecture: invalid argument',
    });
    assert.throws(() => parsePlatform("a/b/c/d"), { kind: "invalid_argument" });
  });

  it("match older variants of the same architecture", () => {
    const p = parsePlatform;
    assert.equal(platformDistance(p("linux/arm/v7"), p("linux/arm/v6")), 1);
    assert.equal(platformDistance(p("linux/arm/v6"), p("linux/arm/v7")), undefined);
    assert.equal(platformDistance(p("linux/amd64"), p("linux/amd64/v3")), undefined);
    assert.equal(platformDistance(p("linux/amd64/v3"), p("linux/amd64")), 2);
    assert.equal(platformDistance(p("linux/amd64"), p("linux/arm64")), undefined);
    assert.ok(samePlatform(p("linux/arm64"), p("linux/arm64/v8")));
    assert.deepEqual(normalizePlatform({ os: "Linux", architecture: "AMD64", variant: "" }), {
      os: "linux",
      architecture: "amd64",
    });
  });
});
