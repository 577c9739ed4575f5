/** Archives that are wrong: what a load and an import say of them, as a dockerd with a containerd store does. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import { sha256Digest } from "@gantry/oci";
import { makeDockerArchive, makeImage, makeLayer } from "@gantry/testkit/image-maker";
import { mustRun } from "@gantry/testkit/run";
import { ask, messageOf, type Question } from "../src/http.ts";
import { streamedError, useRefusalBed } from "../src/refusal-bed.ts";

const bed = useRefusalBed();

const zeros = `sha256:${"0".repeat(64)}`;
const platform = (text: string): string => `platform=${encodeURIComponent(text)}`;
const archiveType = { "content-type": "application/x-tar" };
const layoutFile = '{"imageLayoutVersion":"1.0.0"}';

/** A layout of one manifest, without its content. */
function layoutOf(target: {
  readonly digest: string;
  readonly size: number;
}): Record<string, string> {
  const mediaType = "application/vnd.oci.image.manifest.v1+json";
  const index = { schemaVersion: 2, manifests: [{ mediaType, ...target }] };
  return { "oci-layout": layoutFile, "index.json": JSON.stringify(index) };
}

describe("an archive to load or import", () => {
  const load = (body: Uint8Array, query = ""): Question => ({
    method: "POST",
    path: `/v1.51/images/load?quiet=1${query}`,
    body,
    headers: { "content-type": "application/x-tar" },
  });
  it("an archive that is cut, of another version, or without the platform", async () => {
    const layer = await makeLayer([{ header: { name: "file" }, content: "x" }]);
    const whole = await makeDockerArchive([
      { image: makeImage({ layers: [layer], architecture: "s390x" }), tags: ["bad:1"] },
    ]);
    assert.equal(await streamedError(bed.engine, load(whole.subarray(0, 1500))), "unexpected EOF");
    assert.equal(
      await streamedError(bed.engine, load(gzipSync(whole).subarray(0, 300))),
      "unexpected EOF",
    );
    assert.equal(
      await streamedError(
        bed.engine,
        load(whole, `&${platform('{"os":"linux","architecture":"riscv64"}')}`),
      ),
      "requested platform (linux/riscv64) not found: image might be filtered out",
    );
    const layout = await makeLayer([
      { header: { name: "oci-layout" }, content: '{"imageLayoutVersion":"9"}' },
      { header: { name: "index.json" }, content: '{"schemaVersion":2,"manifests":[]}' },
    ]);
    assert.equal(await streamedError(bed.engine, load(layout)), "unsupported OCI version 9");
  });

  const untar = 'untar manifest "manifest.json": ';
  const noDigests = '{"rootfs":{"type":"layers","diff_ids":[]}}';
  const list = (entry: object): string => JSON.stringify([entry]);
  const archives: readonly (readonly [string, Readonly<Record<string, string>>, string])[] = [
    ["without a known file", { a: "x" }, "unrecognized image format"],
    ["with half a manifest", { "manifest.json": "{" }, `${untar}unexpected EOF`],
    ["with an empty manifest", { "manifest.json": "" }, `${untar}EOF`],
    [
      "with a word for a manifest",
      { "manifest.json": "xx" },
      `${untar}invalid character 'x' looking for beginning of value`,
    ],
    [
      "with an object for a manifest",
      { "manifest.json": "{}" },
      `${untar}json: cannot unmarshal object into Go value of type []struct { Config string; RepoTags []string; Layers []string }`,
    ],
    ...(
      [
        [
          "[1]",
          "json: cannot unmarshal number into .0 of type struct { Config string; RepoTags []string; Layers []string }",
        ],
        [
          '[{"Config":1}]',
          "json: cannot unmarshal number into Go struct field .0.Config of type string",
        ],
        [
          '[{"Layers":"x"}]',
          "json: cannot unmarshal string into Go struct field .0.Layers of type []string",
        ],
        ['[{"Layers":[1]}]', "json: cannot unmarshal number into .0.Layers.0 of type string"],
        ["[{},]", "invalid character ']' looking for beginning of value"],
        ['[{"a" 1}]', "invalid character '1' after object key"],
      ] as const
    ).map(
      ([text, problem]) =>
        [`with the manifest ${text}`, { "manifest.json": text }, untar + problem] as const,
    ),
    [
      "with something behind the manifest",
      { "manifest.json": "[null] x" },
      'image config "" not found',
    ],
    ["with no image", { "manifest.json": "[]" }, "image might be filtered out"],
    ["with no manifest in its file", { "manifest.json": "null" }, "unrecognized image format"],
    ["without the config", { "manifest.json": "[{}]" }, 'image config "" not found'],
    [
      "without the config's file",
      { "manifest.json": list({ Config: "c.json", Layers: [] }) },
      'image config "c.json" not found',
    ],
    [
      "with half a config",
      { "manifest.json": list({ Config: "c.json", Layers: [] }), "c.json": "{" },
      "unable to resolve platform: unexpected end of JSON input",
    ],
    [
      "without a layer",
      {
        "manifest.json": list({ Config: "c.json", Layers: ["l"] }),
        "c.json": `{"rootfs":{"type":"layers","diff_ids":["${zeros}"]}}`,
      },
      'failed to resolve layers: layer "l" not found',
    ],
    [
      "with a bad name",
      {
        "manifest.json": list({ Config: "c.json", Layers: [], RepoTags: ["a//b"] }),
        "c.json": noDigests,
      },
      'normalize image ref "a//b": invalid reference format',
    ],
    ["with half a layout", { "oci-layout": "{" }, 'untar oci layout "oci-layout": unexpected EOF'],
    [
      "without the layout's index",
      { "oci-layout": '{"imageLayoutVersion":"1.0.0"}' },
      "missing index.json in OCI layout 1.0.0",
    ],
    [
      "with half an index",
      { "oci-layout": '{"imageLayoutVersion":"1.0.0"}', "index.json": "{" },
      "unexpected end of JSON input",
    ],
    ...(
      [
        ["[]", "json: cannot unmarshal array into Go value of type v1.Index"],
        ["{x}", "invalid character 'x' looking for beginning of object key string"],
        ["{}", "image might be filtered out"],
        ["null", "image might be filtered out"],
        [
          '{"manifests":1}',
          "json: cannot unmarshal number into Go struct field Index.manifests of type []v1.Descriptor",
        ],
        [
          '{"manifests":[1]}',
          "json: cannot unmarshal number into Index.manifests.0 of type v1.Descriptor",
        ],
        [
          '{"manifests":[{"digest":1}]}',
          "json: cannot unmarshal number into Go struct field Index.manifests.0.digest of type digest.Digest",
        ],
        [
          '{"manifests":[{}]}',
          'InvalidArgument: Target.Digest "" invalid: invalid checksum digest format: invalid argument',
        ],
        [
          '{"schemaVersion":"x"}',
          "json: cannot unmarshal string into Go struct field Index.schemaVersion of type int",
        ],
      ] as const
    ).map(
      ([text, problem]) =>
        [
          `with the index ${text}`,
          { "oci-layout": layoutFile, "index.json": text },
          problem,
        ] as const,
    ),
    ...(
      [
        ["{}", "unrecognized image format"],
        [
          "[]",
          'untar oci layout "oci-layout": json: cannot unmarshal array into Go value of type v1.ImageLayout',
        ],
        [
          '{"imageLayoutVersion":1}',
          'untar oci layout "oci-layout": json: cannot unmarshal number into Go struct field ImageLayout.imageLayoutVersion of type string',
        ],
      ] as const
    ).map(
      ([text, problem]) =>
        [`with the layout ${text}`, { "oci-layout": text, "index.json": "{}" }, problem] as const,
    ),
    ...(
      [
        ["{", "children: invalid desc DIGEST: unexpected end of JSON input"],
        [
          "xx",
          "children: invalid desc DIGEST: invalid character 'x' looking for beginning of value",
        ],
        [
          "[]",
          "children: invalid desc DIGEST: json: cannot unmarshal array into Go value of type images.unknownDocument",
        ],
        [
          '{"config":1}',
          "json: cannot unmarshal number into Go struct field Manifest.config of type v1.Descriptor",
        ],
        [
          '{"layers":1}',
          "json: cannot unmarshal number into Go struct field Manifest.layers of type []v1.Descriptor",
        ],
        // Docker takes these for images, of which nothing can be done.
        ["{}", "manifest.config: must be an object"],
      ] as const
    ).map(([text, problem]) => {
      const digest = sha256Digest(Buffer.from(text));
      const files = layoutOf({ digest, size: text.length });
      files[`blobs/sha256/${digest.slice("sha256:".length)}`] = text;
      return [
        `with the manifest ${text} in a layout`,
        files,
        problem.replace("DIGEST", digest),
      ] as const;
    }),
    // Docker says that it is loaded, and lists an image without content.
    [
      "whose index names what is not there",
      layoutOf({ digest: zeros, size: 10 }),
      `invalid archive: content ${zeros} is missing`,
    ],
    ...(
      [
        ["[]", "json: cannot unmarshal array into Go value of type v1.Platform"],
        [
          '{"os":1}',
          "json: cannot unmarshal number into Go struct field Platform.os of type string",
        ],
      ] as const
    ).map(
      ([text, problem]) =>
        [
          `with the config ${text}`,
          { "manifest.json": list({ Config: "c.json", Layers: [] }), "c.json": text },
          `unable to resolve platform: ${problem}`,
        ] as const,
    ),
  ];
  for (const [what, files, message] of archives) {
    it(`an archive ${what}`, async () => {
      const entries = Object.entries(files).map(([name, content]) => ({
        header: { name },
        content,
      }));
      assert.equal(await streamedError(bed.engine, load(await makeLayer(entries))), message);
    });
  }

  it("what is no archive", async () => {
    assert.equal(
      await streamedError(bed.engine, load(Buffer.from("x".repeat(4000)))),
      "archive/tar: invalid tar header",
    );
  });

  const junk = Buffer.alloc(4000, "no archive at all, ");
  const whole = Buffer.alloc(1024);
  const broken = (bytes: Buffer): Buffer => {
    const copy = Buffer.from(bytes);
    // The last bytes of gzip are a checksum and a length.
    copy[copy.length - 8] = (copy.at(-8) ?? 0) ^ 0xff;
    return copy;
  };
  const xz = async (bytes: Buffer): Promise<Buffer> => {
    const packed = await mustRun(["sh", "-c", "xz -c | base64 -w0"], { input: bytes });
    return Buffer.from(packed.stdout, "base64");
  };
  const imported = async (body: Buffer): Promise<string> => {
    const question = { method: "POST", path: "/v1.51/images/create?fromSrc=-", body };
    const answer = await ask(bed.engine, { ...question, headers: archiveType });
    assert.equal(answer.status, 500);
    return messageOf(answer);
  };
  const header = "archive/tar: invalid tar header";
  const loaded = (body: Buffer): Promise<string> => streamedError(bed.engine, load(body));
  it("broken compression of what is no archive: the archive is told of by a load, the rest by an import", async () => {
    const gzip = gzipSync(junk);
    const cut = gzip.subarray(0, gzip.length - 6);
    assert.equal(await loaded(broken(gzip)), header);
    assert.equal(await loaded(cut), header);
    assert.equal(await imported(cut), "unexpected EOF");
    const packed = await xz(junk);
    const short = packed.subarray(0, packed.length - 30);
    assert.equal(await loaded(packed), header);
    assert.equal(await loaded(short), header);
    assert.equal(await imported(short), "exit status 1: xz: (stdin): Unexpected end of input\n");
  });

  it("broken compression of an archive", async () => {
    assert.equal(await imported(broken(gzipSync(whole))), "gzip: invalid checksum");
    const behind = Buffer.concat([gzipSync(whole), Buffer.from("words behind it")]);
    assert.equal(await imported(behind), "gzip: invalid header");
    const bad = await xz(Buffer.concat([whole, Buffer.from(behind)]));
    bad.fill(0x55, bad.length / 2, bad.length / 2 + 8);
    assert.equal(await imported(bad), "exit status 1: xz: (stdin): Compressed data is corrupt\n");
  });
});
