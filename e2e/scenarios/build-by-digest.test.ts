/** The flow of CI: each platform is built and pushed by its digest, and a tag is made of the digests. */
import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, describe, it } from "node:test";
import { mustRun, type Ran } from "@gantry/testkit";
import { type Registry, startRegistry } from "@gantry/testkit/registry";
import { useBuildxBed } from "../src/buildx-bed.ts";

let registry: Registry;
let folder: string;

// Before the bed's, which takes the engine away.
after(async () => {
  await registry[Symbol.asyncDispose]();
});
const bed = useBuildxBed({
  prepare: async (engine) => {
    registry = await startRegistry({ dir: path.join(engine.root, "registry") });
    folder = path.join(engine.root, "context");
    await mkdir(folder);
    await writeFile(path.join(folder, "Dockerfile"), "FROM scratch\nCOPY file /\n");
    await writeFile(path.join(folder, "file"), "content\n");
    // buildx itself keeps pushes by digest from Docker's driver, so CI uses the engine as a remote BuildKit.
    const create = ["buildx", "create", "--driver", "remote", "--name", "ci", engine.dockerHost];
    await mustRun(["docker", ...create], { env: bed.env });
  },
});

type Metadata = Readonly<Record<string, unknown>>;

const build = (args: readonly string[]): Promise<Ran> =>
  bed.docker(folder, ["buildx", "build", "--progress=plain", ...args, "."]);

async function built(
  output: string,
  ...args: readonly string[]
): Promise<{ readonly stderr: string; readonly metadata: Metadata }> {
  const file = path.join(bed.engine.root, "metadata.json");
  const ran = await build(["--metadata-file", file, "-o", output, ...args]);
  assert.equal(ran.code, 0, ran.stderr);
  return { stderr: ran.stderr, metadata: JSON.parse(await readFile(file, "utf8")) as Metadata };
}

interface Index {
  readonly digest?: string;
  readonly manifests: readonly {
    readonly digest: string;
    readonly platform: { readonly architecture: string };
  }[];
}

async function manifestOf(repository: string, reference: string): Promise<Index> {
  const url = `http://${registry.host}/v2/${repository}/manifests/${reference}`;
  const types = ["index", "manifest"].map((each) => `application/vnd.oci.image.${each}.v1+json`);
  const response = await fetch(url, { headers: { accept: types.join(", ") } });
  assert.equal(response.status, 200, `${url}: ${await response.clone().text()}`);
  return (await response.json()) as Index;
}

const images = (): Promise<string> => bed.engine.docker(["images", "-aq", "--no-trunc"]);

describe("a push by digest", () => {
  it("leaves no tag, and a tag made of several is an image of all platforms", async () => {
    const name = `${registry.host}/app`;
    const digests: string[] = [];
    for (const platform of ["linux/amd64", "linux/arm64"]) {
      const output = `type=image,name=${name},push-by-digest=true,push=true`;
      const { metadata, stderr } = await built(output, "--builder=ci", "--platform", platform);
      const digest = String(metadata["containerimage.digest"]);
      assert.deepEqual(Object.keys(metadata).sort(), [
        ...["buildx.build.ref", "containerimage.descriptor", "containerimage.digest", "image.name"],
      ]);
      assert.equal(metadata["image.name"], name);
      const { digest: described } = metadata["containerimage.descriptor"] as Index;
      assert.equal(described, digest);
      assert.match(stderr, new RegExp(`^#\\d+ pushing manifest for ${name} .*done$`, "m"));
      const { manifests } = await manifestOf("app", digest);
      assert.equal(`linux/${manifests[0]?.platform.architecture ?? ""}`, platform);
      digests.push(`${name}@${digest}`);
    }
    const tags = await fetch(`http://${registry.host}/v2/app/tags/list`);
    assert.notEqual(tags.status, 200);
    const local = await bed.engine.docker(["images", "--digests", "--format", "{{.Tag}}", name]);
    assert.deepEqual(local.split("\n"), ["<none>", "<none>"]);

    const create = ["buildx", "imagetools", "create", "-t", `${name}:1`, ...digests];
    await mustRun(["docker", ...create], { env: bed.env });
    const { manifests } = await manifestOf("app", "1");
    const architectures = manifests.map(({ platform }) => platform.architecture);
    assert.deepEqual(architectures, ["amd64", "unknown", "arm64", "unknown"]);
    await bed.engine.docker(["pull", `${name}:1`]);
  });

  it("tells the config's digest of a plain manifest", async () => {
    const output = `type=image,name=${registry.host}/plain,push-by-digest=true,push=true`;
    const { metadata } = await built(output, "--builder=ci", "--provenance=false");
    const id = String(metadata["containerimage.config.digest"]);
    assert.match(id, /^sha256:/);
    const blob = await fetch(`http://${registry.host}/v2/plain/blobs/${id}`);
    assert.equal(((await blob.json()) as { os: string }).os, "linux");
  });

  it("is refused for a name with a tag", async () => {
    const name = `${registry.host}/app:2`;
    const ran = await build([
      ...["--builder=ci", "-o", `type=image,name=${name},push-by-digest=true,push=true`],
    ]);
    assert.equal(ran.code, 1);
    const text = `ERROR: failed to solve: failed to push ${name}: can't push tagged ref ${name} by digest`;
    assert.equal(ran.stderr.trimEnd().split("\n").at(-1), text);
  });
});

describe("an image that is not stored", () => {
  it("is pushed, and none of the engine's", async () => {
    const before = await images();
    const name = `${registry.host}/away:1`;
    const output = `type=image,name=${name},push=true,store=false`;
    const { metadata, stderr } = await built(output, "--builder=ci");
    assert.doesNotMatch(stderr, /naming to|unpacking to/);
    assert.equal(metadata["image.name"], name);
    assert.equal((await manifestOf("away", "1")).manifests.length, 2);
    assert.equal(await images(), before);
  });

  it("is not told of with a value that is none", async () => {
    const ran = await build(["-o", "type=image,name=x,store=maybe"]);
    const cause = 'strconv.ParseBool: parsing "maybe": invalid syntax';
    const text = `ERROR: failed to solve: non-bool value specified for store: ${cause}`;
    assert.equal(ran.stderr.trimEnd().split("\n").at(-1), text);
  });
});

describe("names of an image", () => {
  it("can be its digest, behind a name of one's own", async () => {
    const { metadata } = await built("type=image,dangling-name-prefix=mine");
    const name = `mine@${String(metadata["containerimage.digest"])}`;
    assert.equal(metadata["image.name"], name);
    assert.match(await bed.engine.docker(["image", "inspect", name]), /"RepoTags": \[\]/);
  });

  it("are told of as dockerd's when there are none", async () => {
    const { metadata } = await built("type=image");
    const digest = String(metadata["containerimage.digest"]);
    assert.equal(metadata["image.name"], `moby-dangling@${digest}`);
  });

  it("are a tag and its digest by name-canonical", async () => {
    const { metadata, stderr } = await built("type=image,name=canonical:1,name-canonical=true");
    const digest = String(metadata["containerimage.digest"]);
    const name = "docker.io/library/canonical:1";
    assert.match(stderr, new RegExp(`naming to ${name} `));
    const shown = await bed.engine.docker(["image", "inspect", `canonical@${digest}`]);
    assert.ok(shown.includes(digest));
    await bed.engine.docker(["rmi", "canonical:1"]);
    assert.equal((await bed.engine.tryDocker(["image", "inspect", digest])).code, 1);
  });
});

describe("attestations", () => {
  it("are artifacts that refer to their image by oci-artifact", async () => {
    const name = `${registry.host}/artifact`;
    const output = `type=image,name=${name},push-by-digest=true,push=true,oci-artifact=true`;
    const { metadata } = await built(output, "--builder=ci");
    const digest = String(metadata["containerimage.digest"]);
    const [image, attestation] = (await manifestOf("artifact", digest)).manifests;
    const document = (await manifestOf("artifact", attestation?.digest ?? "")) as Index & {
      readonly artifactType: string;
      readonly config: { readonly mediaType: string; readonly data: string };
      readonly subject: { readonly digest: string };
    };
    assert.equal(document.artifactType, "application/vnd.docker.attestation.manifest.v1+json");
    assert.equal(document.config.data, "e30=");
    assert.equal(document.subject.digest, image?.digest);
  });

  it("are left out where nobody asked for them by attestation-inline", async () => {
    const { metadata } = await built("type=image,name=bare,attestation-inline=false");
    assert.match(String(metadata["containerimage.config.digest"]), /^sha256:/);
  });
});
