/** What buildx's exporters make of a build: media types, compression, times, annotations, folders. */
import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, it } from "node:test";
import { mustRun, type Ran } from "@gantry/testkit";
import { startRegistry } from "@gantry/testkit/registry";
import { useBuildxBed } from "../src/buildx-bed.ts";

const bed = useBuildxBed({
  prepare: async (engine) => {
    folder = path.join(engine.root, "context");
    await mkdir(folder);
    await writeFile(
      path.join(folder, "Dockerfile"),
      "FROM busybox\nCOPY young /\nRUN touch -d '2001-02-03 01:02:03' /old && mkdir /made\n",
    );
    await writeFile(path.join(folder, "young"), "x".repeat(5000));
  },
});
let folder: string;

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** What `mode=max` adds. */
interface Provenance {
  readonly buildDefinition: {
    readonly internalParameters: {
      readonly buildConfig: { readonly llbDefinition: readonly { readonly op: { Op: object } }[] };
    };
  };
  readonly runDetails: {
    readonly metadata: {
      readonly buildkit_metadata: {
        readonly source: {
          readonly locations: Readonly<Record<string, object>>;
          readonly infos: readonly { readonly data: string }[];
        };
        readonly layers: Readonly<Record<string, readonly (readonly Descriptor[])[]>>;
      };
    };
  };
}

interface Document {
  readonly mediaType: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly manifests: readonly Descriptor[];
}

const build = (
  args: readonly string[],
  more: Readonly<Record<string, string>> = {},
): Promise<Ran> => bed.tryBuild(folder, args, more);

async function built(args: readonly string[], more: Readonly<Record<string, string>> = {}) {
  return await bed.build(folder, args, more);
}

/** An image layout in a folder of the test. */
class Layout {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  file(digest: string): string {
    return path.join(this.root, "blobs", digest.replace(":", "/"));
  }

  async document(digest: string): Promise<Document> {
    return JSON.parse(await readFile(this.file(digest), "utf8")) as Document;
  }

  async top(): Promise<Descriptor> {
    const index = await readFile(path.join(this.root, "index.json"), "utf8");
    const [top] = (JSON.parse(index) as Document).manifests;
    assert.ok(top !== undefined);
    return top;
  }
}

async function unpacked(name: string, archive: string): Promise<Layout> {
  const root = path.join(bed.engine.root, name);
  await mkdir(root);
  await mustRun(["tar", "-C", root, "-xf", archive]);
  return new Layout(root);
}

/** An image as `docker save` writes it. */
async function saved(image: string): Promise<{ layout: Layout; manifest: Document }> {
  const archive = path.join(bed.engine.root, `${image}.tar`);
  await bed.engine.docker(["save", "-o", archive, image]);
  const layout = await unpacked(`saved-${image}`, archive);
  return { layout, manifest: await layout.document((await layout.top()).digest) };
}

const plain = "--provenance=false";
const oci = "application/vnd.oci.image";
const docker = "application/vnd.docker";

describe("an image", () => {
  it("has Docker's media types, all of them, or OCI's, also for layers of its base", async () => {
    await built([plain, "-t", "docker-types"]);
    const { manifest } = await saved("docker-types");
    assert.equal(manifest.mediaType, `${docker}.distribution.manifest.v2+json`);
    assert.equal(manifest.config.mediaType, `${docker}.container.image.v1+json`);
    assert.deepEqual(
      new Set(manifest.layers.map(({ mediaType }) => mediaType)),
      new Set([`${docker}.image.rootfs.diff.tar.gzip`]),
    );
    await built([plain, "-o", "type=image,name=oci-types,oci-mediatypes=true"]);
    const other = (await saved("oci-types")).manifest;
    assert.equal(other.mediaType, `${oci}.manifest.v1+json`);
    assert.equal(other.config.mediaType, `${oci}.config.v1+json`);
    assert.deepEqual(
      new Set(other.layers.map(({ mediaType }) => mediaType)),
      new Set([`${oci}.layer.v1.tar+gzip`]),
    );
  });

  it("has OCI's media types with attestations, whatever is asked for", async () => {
    await built(["--provenance=true", "-o", "type=image,name=attested,oci-mediatypes=false"]);
    const { layout, manifest: index } = await saved("attested");
    assert.equal(index.mediaType, `${oci}.index.v1+json`);
    const manifest = await layout.document(index.manifests[0]?.digest ?? "");
    assert.deepEqual(
      new Set(manifest.layers.map(({ mediaType }) => mediaType)),
      new Set([`${oci}.layer.v1.tar+gzip`]),
    );
  });

  it("has provenance for each of its names, without what is private", async () => {
    const secretive = ["--build-arg", "TOKEN=t", "--label", "l=m", "--add-host", "a:1.2.3.4"];
    await built([...secretive, "-t", "first", "-t", "second:2"]);
    const { layout, manifest: index } = await saved("first");
    const attested = await layout.document(index.manifests[1]?.digest ?? "");
    const text = await readFile(layout.file(attested.layers[0]?.digest ?? ""), "utf8");
    const { subject, predicate } = JSON.parse(text) as {
      subject: { name: string }[];
      predicate: {
        buildDefinition: { externalParameters: { request: { args: object } } };
        runDetails: { metadata: object };
      };
    };
    const platform = `platform=${encodeURIComponent(process.arch === "x64" ? "linux/amd64" : "linux/arm64")}`;
    assert.deepEqual(
      subject.map(({ name }) => name),
      [`pkg:docker/first@latest?${platform}`, `pkg:docker/second@2?${platform}`],
    );
    const { args } = predicate.buildDefinition.externalParameters.request;
    assert.deepEqual(args, { "add-hosts": "a=1.2.3.4" });
    assert.ok("invocationId" in predicate.runDetails.metadata);
    assert.ok(text.includes(`pkg:docker/busybox@latest?${platform}`));
  });

  it("has in its provenance, where all is to be told, the graph with its lines and layers", async () => {
    await built(["--provenance=mode=max", "-t", "told"]);
    const { layout, manifest: index } = await saved("told");
    const image = await layout.document(index.manifests[0]?.digest ?? "");
    const attested = await layout.document(index.manifests[1]?.digest ?? "");
    const text = await readFile(layout.file(attested.layers[0]?.digest ?? ""), "utf8");
    const { predicate } = JSON.parse(text) as { predicate: Provenance };
    const { llbDefinition } = predicate.buildDefinition.internalParameters.buildConfig;
    assert.deepEqual(
      llbDefinition.map(({ op }) => Object.keys(op.Op)),
      [["source"], ["source"], ["file"], ["exec"], []],
    );
    const { source, layers } = predicate.runDetails.metadata.buildkit_metadata;
    const line = { start: { line: 3 }, end: { line: 3 } };
    assert.deepEqual(source.locations["step3"], { locations: [{ ranges: [line] }] });
    const dockerfile = await readFile(path.join(folder, "Dockerfile"));
    assert.equal(source.infos[0]?.data, dockerfile.toString("base64"));
    const digests = (list: readonly Descriptor[] = []) => list.map(({ digest }) => digest);
    assert.deepEqual(digests(layers["step3:0"]?.[0]), digests(image.layers));
    assert.deepEqual(digests(layers["step0:0"]?.[0]), digests(image.layers.slice(0, 1)));
  });

  it("is told of with its config where it is a plain manifest", async () => {
    await built([plain, "-o", "type=image,name=described,annotation-manifest-descriptor.a=b"]);
    const { manifest } = await saved("described");
    const shown = await bed.engine.docker(["inspect", "--format", "{{json .}}", "described"]);
    const { annotations } = (JSON.parse(shown) as { Descriptor: Descriptor }).Descriptor;
    assert.deepEqual(annotations, { a: "b", "config.digest": manifest.config.digest });
  });

  it("is an index when platforms are listed, be there one only", async () => {
    await built([plain, "--build-arg", "BUILDKIT_MULTI_PLATFORM=1", "-t", "listed"]);
    const { manifest: list } = await saved("listed");
    assert.equal(list.mediaType, `${docker}.distribution.manifest.list.v2+json`);
    assert.equal(list.manifests.length, 1);
  });

  for (const [compression, magic] of [
    ["zstd", "28b52ffd"],
    ["gzip", "1f8b"],
    ["uncompressed", ""],
  ] as const) {
    it(`runs with layers of its own, and by force all of them, ${compression}`, async () => {
      const options = `type=image,name=own-${compression},oci-mediatypes=true,compression=${compression}`;
      await built([plain, "-o", options]);
      const forced = options.replace("own-", "all-");
      await built([plain, "-o", `${forced},force-compression=true`]);
      const ofAll = (await saved(`all-${compression}`)).manifest.layers;
      const { layout, manifest } = await saved(`own-${compression}`);
      const [base, ...own] = manifest.layers;
      assert.ok(base !== undefined && own.length === 2);
      assert.equal(base.mediaType, `${oci}.layer.v1.tar+gzip`);
      const end = compression === "uncompressed" ? "" : `+${compression}`;
      for (const { mediaType } of [...own, ...ofAll])
        assert.equal(mediaType, `${oci}.layer.v1.tar${end}`);
      for (const { digest } of own) {
        const bytes = await readFile(layout.file(digest));
        assert.ok(bytes.toString("hex").startsWith(magic));
      }
      for (const image of [`own-${compression}`, `all-${compression}`]) {
        assert.equal(
          await bed.engine.docker(["run", "--rm", image, "wc", "-c", "/young"]),
          "5000 /young",
        );
      }
      await bed.engine.docker(["rmi", `all-${compression}`]);
      await bed.engine.docker(["load", "-i", path.join(bed.engine.root, `all-${compression}.tar`)]);
      assert.equal(
        await bed.engine.docker(["run", "--rm", `all-${compression}`, "ls", "-d", "/made"]),
        "/made",
      );
    });
  }

  it("has annotations on manifests, of one platform if wanted, and on what names them", async () => {
    const list = [
      ...["annotation.a=1", "annotation[linux/amd64].b=2", "annotation[linux/arm64].c=3"],
      ...["annotation-manifest-descriptor.d=4", "annotation-index.e=5"],
    ];
    await built(["-o", `type=image,name=annotated,${list.join(",")}`]);
    const { layout, manifest: index } = await saved("annotated");
    assert.deepEqual(index.annotations, { e: "5" });
    const [named] = index.manifests;
    assert.deepEqual(named?.annotations, { d: "4" });
    const manifest = await layout.document(named?.digest ?? "");
    const isHost = process.arch === "x64";
    assert.deepEqual(manifest.annotations, isHost ? { a: "1", b: "2" } : { a: "1", c: "3" });
  });

  it("has no file younger than SOURCE_DATE_EPOCH when times are rewritten, but for its base's", async () => {
    const archive = path.join(bed.engine.root, "dated.tar");
    const epoch = { SOURCE_DATE_EPOCH: "1700000000" };
    const output = `type=oci,dest=${archive},rewrite-timestamp=true`;
    const shown = await built([plain, "-o", output], epoch);
    assert.match(
      shown,
      /rewriting layers with source-date-epoch 1700000000 \(2023-11-14 22:13:20 \+0000 UTC\)/,
    );
    const layout = await unpacked("dated", archive);
    const top = await layout.top();
    assert.equal(top.annotations?.["org.opencontainers.image.created"], "2023-11-14T22:13:20Z");
    const [, ...own] = (await layout.document(top.digest)).layers;
    const times = new Map<string, string>();
    for (const { digest } of own) {
      const { stdout } = await mustRun(["tar", "-tvzf", layout.file(digest), "--full-time"], {
        env: { ...process.env, TZ: "UTC" },
      });
      for (const [, time = "", name = ""] of stdout.matchAll(/(\d{4}-\S+ \S+) (\S+)$/gm))
        times.set(name, time);
    }
    assert.equal(times.get("young"), "2023-11-14 22:13:20");
    assert.equal(times.get("made/"), "2023-11-14 22:13:20");
    assert.match(times.get("old") ?? "", /^2001-02-03 01:02:03/);
    const twice = path.join(bed.engine.root, "dated-again.tar");
    await writeFile(path.join(folder, "young"), "x".repeat(5000));
    await built([plain, "--no-cache", "-o", output.replace(archive, twice)], epoch);
    assert.ok((await readFile(archive)).equals(await readFile(twice)), "not reproducible");
    assert.equal((await mustRun(["docker", "load", "-i", archive], { env: bed.env })).code, 0);
  });
});

describe("a layout in a folder", () => {
  it("is what an archive would have, and can be a context", async () => {
    const root = path.join(bed.engine.root, "layout");
    const shown = await built([plain, "-o", `type=oci,tar=false,dest=${root},name=some:name`]);
    assert.doesNotMatch(shown, /sending tarball/);
    const layout = new Layout(root);
    const top = await layout.top();
    assert.equal(
      top.annotations?.["org.opencontainers.image.ref.name"],
      "docker.io/library/some:name",
    );
    const manifest = await layout.document(top.digest);
    assert.equal(manifest.layers.length, 3);
    for (const { digest } of [manifest.config, ...manifest.layers]) {
      const { stdout } = await mustRun(["sha256sum", layout.file(digest)]);
      assert.equal(`sha256:${stdout.slice(0, 64)}`, digest);
    }
  });
});

describe("attributes of exporters", () => {
  const invalid = (value: string): string => `parsing "${value}": invalid syntax`;
  for (const [output, text] of [
    ["type=image,name=x,compression=foo", "unsupported compression type foo"],
    [
      "type=image,name=x,oci-mediatypes=maybe",
      `non-bool value specified for oci-mediatypes: strconv.ParseBool: ${invalid("maybe")}`,
    ],
    [
      "type=image,name=x,force-compression=maybe",
      `non-bool value maybe specified for force-compression: strconv.ParseBool: ${invalid("maybe")}`,
    ],
    [
      "type=image,name=x,compression-level=high",
      `non-integer value high specified for compression-level: strconv.ParseInt: ${invalid("high")}`,
    ],
    [
      "type=oci,tar=x,dest=o",
      `non-bool value specified for tar: strconv.ParseBool: ${invalid("x")}`,
    ],
    [`type=image,name=x@sha256:${"0".repeat(64)}`, "build tag cannot contain a digest"],
    [
      "type=image,name=Upper",
      "invalid reference format: repository name (library/Upper) must be lowercase",
    ],
    ["type=image,name=x,annotation-foo.a=b", "unrecognized annotation type foo"],
    [
      "type=image,name=x,annotation[linux/a/b/c].a=b",
      '"linux/a/b/c": cannot parse platform specifier: invalid argument',
    ],
    [
      "type=image,name=x,annotation-index.a=b",
      "index annotations not supported for single platform export",
    ],
  ] as const) {
    it(`are refused in BuildKit's words: ${output.slice(0, 60)}`, async () => {
      const ran = await build([plain, "-o", output]);
      assert.equal(ran.code, 1);
      assert.equal(ran.stderr.trimEnd().split("\n").at(-1), `ERROR: failed to solve: ${text}`);
    });
  }

  it("want no SBOM, which is refused", async () => {
    const ran = await build(["--sbom=true"]);
    assert.match(
      ran.stderr,
      /^ERROR: failed to solve: attestations of kind sbom are not supported$/m,
    );
  });
});

describe("a push", () => {
  it("shows layers and the manifest with its digest, and blames itself when it fails", async () => {
    await using registry = await startRegistry({ dir: path.join(bed.engine.root, "registry") });
    const name = `${registry.host}/pushed:1`;
    const shown = await built([plain, "-o", `type=image,name=${name},push=true`]);
    assert.match(shown, /^#\d+ pushing layers/m);
    const id = await bed.engine.docker(["image", "inspect", "--format", "{{.Id}}", name]);
    assert.ok(shown.includes(` pushing manifest for ${name}@${id}`), shown);
    await registry[Symbol.asyncDispose]();
    const ran = await build([plain, "-o", `type=image,name=${name},push=true`]);
    assert.equal(ran.code, 1);
    assert.match(
      ran.stderr,
      new RegExp(`^ERROR: failed to solve: (\\w+: )*failed to push ${name}: `, "m"),
    );
  });
});
