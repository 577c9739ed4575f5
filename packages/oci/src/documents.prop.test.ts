import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { EngineError } from "@gantry/errors";
import fc from "fast-check";
import { parseImageConfig, parseManifestOrIndex } from "./image-spec.ts";
import { mediaTypes } from "./media-types.ts";
import { canonicalName, familiarName, parseReference, withDefaultTag } from "./reference.ts";

/** Runs a parser: what it says, or nothing when it refuses in the one way that is allowed. */
function attempt<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    assert.ok(error instanceof EngineError && error.kind === "invalid_argument", String(error));
    assert.ok(error.message.length < 10_000, "a message repeats its input");
    return undefined;
  }
}

const bytesOf = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const hex = fc.stringMatching(/^[0-9a-f]{64}$/);
const digest = hex.map((text) => `sha256:${text}`);
const descriptor = (mediaType: string) =>
  fc.record({ mediaType: fc.constant(mediaType), digest, size: fc.nat() });

const manifest = fc.record({
  schemaVersion: fc.constant(2),
  mediaType: fc.constant(mediaTypes.ociManifest),
  config: descriptor(mediaTypes.ociConfig),
  layers: fc.array(descriptor(mediaTypes.ociLayerGzip), { maxLength: 5 }),
});

const config = fc.record(
  {
    architecture: fc.constantFrom("amd64", "arm64"),
    os: fc.constant("linux"),
    config: fc.record(
      {
        Env: fc.array(fc.string()),
        Cmd: fc.array(fc.string()),
        Labels: fc.dictionary(fc.string(), fc.string()),
        ExposedPorts: fc.dictionary(fc.string(), fc.constant({})),
      },
      { requiredKeys: [] },
    ),
    rootfs: fc.record({ type: fc.constant("layers"), diff_ids: fc.array(digest) }),
    history: fc.array(fc.record({ created_by: fc.string(), empty_layer: fc.boolean() })),
  },
  { requiredKeys: ["architecture", "os", "rootfs"] },
);

/** The document with one member, anywhere, replaced by something else. */
function withChange(document: object, where: number, value: unknown): unknown {
  const copy = structuredClone(document) as Record<string, unknown>;
  const places: { readonly holder: Record<string, unknown>; readonly key: string }[] = [];
  const visit = (holder: Record<string, unknown>): void => {
    for (const key of Object.keys(holder)) {
      places.push({ holder, key });
      const child = holder[key];
      if (typeof child === "object" && child !== null) visit(child as Record<string, unknown>);
    }
  };
  visit(copy);
  const place = places[where % places.length];
  if (place !== undefined) place.holder[place.key] = value;
  return copy;
}

describe("documents of registries and archives", () => {
  it("of the right form are read as they are", () => {
    fc.assert(
      fc.property(manifest, (document) => {
        const read = parseManifestOrIndex(bytesOf(document), mediaTypes.ociManifest);
        assert.ok(read.kind === "manifest");
        assert.deepEqual(
          read.layers.map((layer) => layer.digest),
          document.layers.map((layer) => layer.digest),
        );
        assert.equal(read.config.digest, document.config.digest);
      }),
    );
    fc.assert(
      fc.property(config, (document) => {
        assert.deepEqual(
          parseImageConfig(bytesOf(document)).rootfs.diff_ids,
          document.rootfs.diff_ids,
        );
      }),
    );
  });

  it("of any other form are refused, and nothing worse", () => {
    const anyJson = fc.jsonValue({ maxDepth: 5 });
    fc.assert(
      fc.property(anyJson, fc.constantFrom(...Object.values(mediaTypes), ""), (value, type) => {
        attempt(() => parseManifestOrIndex(bytesOf(value), type));
        attempt(() => parseImageConfig(bytesOf(value)));
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        attempt(() => parseManifestOrIndex(bytes, ""));
        attempt(() => parseImageConfig(bytes));
      }),
    );
    fc.assert(
      fc.property(manifest, config, fc.nat(), anyJson, (one, other, where, value) => {
        const read = attempt(() =>
          parseManifestOrIndex(bytesOf(withChange(one, where, value)), ""),
        );
        for (const layer of read?.kind === "manifest" ? read.layers : []) {
          assert.match(layer.digest, /^sha(?:256|384|512):[0-9a-f]{64,128}$/);
          assert.ok(Number.isSafeInteger(layer.size) && layer.size >= 0);
        }
        attempt(() => parseImageConfig(bytesOf(withChange(other, where, value))));
      }),
    );
  });

  it("cannot reach the prototypes of objects", () => {
    const evil = '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}';
    const labels = `{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"config":{"Labels":${evil}}}`;
    attempt(() => parseImageConfig(Buffer.from(labels)));
    attempt(() => parseImageConfig(Buffer.from(evil)));
    attempt(() => parseManifestOrIndex(Buffer.from(evil), ""));
    assert.equal(({} as Record<string, unknown>)["polluted"], undefined);
  });

  it("nested without end are refused", () => {
    for (const text of ["[".repeat(200_000), `${'{"a":'.repeat(200_000)}1`]) {
      assert.equal(
        attempt(() => parseManifestOrIndex(Buffer.from(text), "")),
        undefined,
      );
    }
  });
});

describe("references", () => {
  const part = fc.stringMatching(/^[a-z0-9]{1,8}(?:[._-][a-z0-9]{1,8})?$/);
  const domain = fc.constantFrom("", "localhost/", "localhost:5000/", "a.example/", "[::1]:5000/");
  const name = fc
    .tuple(domain, fc.array(part, { minLength: 1, maxLength: 4 }))
    .map(([host, parts]) => host + parts.join("/"));
  const tag = fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}$/);
  // A whole name of 64 hexadecimal digits is an ID.
  const valid = fc
    .tuple(name, fc.option(tag), fc.option(digest))
    .map(([base, a, b]) => `${base}${a === null ? "" : `:${a}`}${b === null ? "" : `@${b}`}`);

  it("have one canonical form, and a familiar one that means the same", () => {
    fc.assert(
      fc.property(valid, (text) => {
        const reference = withDefaultTag(parseReference(text));
        const canonical = canonicalName(reference);
        assert.equal(canonicalName(parseReference(canonical)), canonical);
        assert.equal(
          canonicalName(withDefaultTag(parseReference(familiarName(reference)))),
          canonical,
        );
      }),
    );
  });

  it("of any other form are refused, and nothing worse", () => {
    const bits = fc.constantFrom("a", "A", "/", ":", "@", ".", "-", "_", "sha256", "..", " ", "\0");
    const odd = fc.oneof(
      fc.string(),
      fc.array(bits).map((all) => all.join("")),
    );
    fc.assert(
      fc.property(odd, (text) => {
        const reference = attempt(() => parseReference(text));
        if (reference === undefined) return;
        assert.match(reference.path, /^[a-z0-9]+(?:[._-]+[a-z0-9]+|\/[a-z0-9]+)*$/);
        assert.ok(!reference.path.includes(".."));
      }),
    );
  });
});
