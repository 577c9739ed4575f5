import assert from "node:assert/strict";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { openTempDir } from "@gantry/fs";
import { anySignaturePolicy, runTool } from "@gantry/testkit/foreign-tools";
import { startRegistry } from "@gantry/testkit/registry";
import { load, openImageService, save, textOf } from "./image-client.ts";
import { archiveOf, twoLayers } from "./sample-images.ts";

describe("other programs for images", () => {
  it("read what we save, in both its forms, and we load what they write", async () => {
    await using dir = await openTempDir("gantry-tools-", "/tmp");
    const at = (name: string): string => path.join(dir.path, name);
    await using service = await openImageService();
    await load(service, await archiveOf(await twoLayers(), "demo:1"));
    const { image } = await service.images.inspectImage({ image: "demo:1" });
    writeFileSync(at("saved.tar"), await save(service, ["demo:1"]));
    await runTool("skopeo", [
      "copy",
      `docker-archive:${at("saved.tar")}:demo:1`,
      `oci:${at("layout")}:demo`,
    ]);
    await runTool("skopeo", [
      "copy",
      `oci-archive:${at("saved.tar")}:1`,
      `oci:${at("direct")}:demo`,
    ]);
    const index = JSON.parse(readFileSync(at("direct/index.json"), "utf8"));
    assert.equal(index.manifests[0].digest, image?.id);

    await runTool("umoci", ["unpack", "--image", `${at("direct")}:demo`, at("bundle")]);
    const root = at("bundle/rootfs");
    assert.equal(readFileSync(path.join(root, "etc/changed"), "utf8"), "new");
    assert.equal(existsSync(path.join(root, "etc/gone")), false);
    assert.equal(statSync(path.join(root, "bin/tool")).mode & 0o7777, 0o4755);

    await runTool("skopeo", [
      "copy",
      `oci:${at("layout")}:demo`,
      `docker-archive:${at("theirs.tar")}:theirs:2`,
    ]);
    assert.equal(
      textOf(await load(service, readFileSync(at("theirs.tar")))),
      "Loaded image: theirs:2\n",
    );
    await runTool("skopeo", [
      "copy",
      `oci:${at("layout")}:demo`,
      `oci-archive:${at("oci.tar")}:theirs:3`,
    ]);
    assert.equal(
      textOf(await load(service, readFileSync(at("oci.tar")))),
      "Loaded image: theirs:3\n",
    );
    const theirs = await service.images.resolveImage({ image: "theirs:3" });
    assert.deepEqual(theirs.image?.diffIds, image?.diffIds);
  });

  it("find in a registry exactly what we pushed, and we pull what they pushed", async () => {
    await using dir = await openTempDir("gantry-tools-", "/tmp");
    await using registry = await startRegistry({ dir: path.join(dir.path, "registry") });
    await using service = await openImageService();
    await load(service, await archiveOf(await twoLayers(), `${registry.host}/ours:1`));
    const { image } = await service.images.inspectImage({ image: `${registry.host}/ours:1` });
    for await (const each of service.images.pushImage({
      reference: `${registry.host}/ours`,
      tag: "1",
    })) {
      assert.ok(each.progress);
    }
    const plain = ["--src-tls-verify=false", "--dest-tls-verify=false"];
    const found = JSON.parse(
      await runTool("skopeo", [
        "inspect",
        "--tls-verify=false",
        `docker://${registry.host}/ours:1`,
      ]),
    );
    assert.equal(found.Digest, image?.id);
    assert.equal(found.Labels.maker, "test");
    await runTool("skopeo", [
      "copy",
      ...plain,
      "-f",
      "v2s2",
      `docker://${registry.host}/ours:1`,
      `docker://${registry.host}/theirs:1`,
    ]);
    for await (const each of service.images.pullImage({
      reference: `${registry.host}/theirs`,
      tag: "1",
    })) {
      assert.ok(each.progress);
    }
    const theirs = await service.images.resolveImage({ image: `${registry.host}/theirs:1` });
    assert.equal(
      theirs.image?.target?.mediaType,
      "application/vnd.docker.distribution.manifest.v2+json",
    );
    assert.deepEqual(theirs.image?.diffIds, image?.diffIds);
  });

  it("podman loads what we save, and we load what podman saves", async () => {
    await using dir = await openTempDir("gantry-podman-", "/tmp");
    const at = (name: string): string => path.join(dir.path, name);
    const podman = async (...args: string[]): Promise<string> => {
      const storage = ["--root", at("storage"), "--runroot", at("run"), "--storage-driver", "vfs"];
      return runTool("podman", [...storage, "--events-backend", "none", ...args]);
    };
    await using service = await openImageService();
    await load(service, await archiveOf(await twoLayers(), "demo:1"));
    const { image } = await service.images.inspectImage({ image: "demo:1" });
    writeFileSync(at("saved.tar"), await save(service, ["demo:1"]));
    const policy = ["--signature-policy", await anySignaturePolicy()];
    await podman("load", ...policy, "-i", at("saved.tar"));
    const [found] = JSON.parse(await podman("image", "inspect", "docker.io/library/demo:1"));
    assert.deepEqual(found.RootFS.Layers, image?.diffIds);
    assert.deepEqual(found.Config.Cmd, ["/bin/tool"]);
    for (const format of ["docker-archive", "oci-archive"]) {
      const file = at(`${format}.tar`);
      await podman("save", ...policy, "--format", format, "-o", file, "docker.io/library/demo:1");
      await service.images.removeImage({ image: "demo:1" });
      assert.equal(textOf(await load(service, readFileSync(file))), "Loaded image: demo:1\n");
      const again = await service.images.resolveImage({ image: "demo:1" });
      assert.deepEqual(again.image?.diffIds, image?.diffIds, format);
    }
  });
});
