/** Images with Debian's programs, for tests that run real services. */
import { readFile } from "node:fs/promises";
import path from "node:path";
import { openTempDir } from "@gantry/fs";
import { debianProgram } from "./debian.ts";
import { unpackDebianTree } from "./debian-tree.ts";
import type { LayerEntry } from "./image-maker.ts";
import { makeDockerArchive, makeImage, makeLayer } from "./image-maker.ts";
import { mustRun } from "./run.ts";

const passwd =
  "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:www-data:/var/www:/bin/false\nnobody:x:65534:65534:nobody:/:/bin/false\n";
const group = "root:x:0:\nadm:x:4:\nwww-data:x:33:\nnogroup:x:65534:\n";

/**
 * An archive for `docker load`: the packages with their dependencies, below them busybox as `sh`,
 * users, and the folders that programs expect.
 */
export async function makeDebianArchive(
  packages: readonly string[],
  tag: string,
): Promise<Uint8Array> {
  const image = makeImage({
    layers: [await treeLayer(await unpackDebianTree(packages)), await baseLayer()],
    gzip: false,
    config: {
      Cmd: ["sh"],
      Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
    },
  });
  return await makeDockerArchive([{ image, tags: [tag] }]);
}

async function treeLayer(tree: string): Promise<Uint8Array> {
  await using scratch = await openTempDir("gantry-tree-");
  const file = path.join(scratch.path, "layer.tar");
  const unneeded = ["doc", "man", "locale", "info", "lintian"].map(
    (name) => `--exclude=./usr/share/${name}/*`,
  );
  await mustRun([
    "tar",
    "--numeric-owner",
    "--sort=name",
    ...unneeded,
    "-C",
    tree,
    "-cf",
    file,
    ".",
  ]);
  return await readFile(file);
}

/** What the packages' scripts would have made, as far as the tests' services need it. */
async function baseLayer(): Promise<Uint8Array> {
  const program = await debianProgram("busybox-static", "/bin/busybox");
  const directory = (name: string, mode = 0o755): LayerEntry => ({
    header: { name: `${name}/`, type: "directory", mode },
  });
  const applet = (name: string): LayerEntry => ({
    header: { name: `usr/bin/${name}`, type: "symlink", linkname: "busybox" },
  });
  return await makeLayer([
    ...["etc", "root", "dev", "proc", "sys", "run", "var", "var/lib", "var/log", "usr/bin"].map(
      (name) => directory(name),
    ),
    directory("tmp", 0o1777),
    { header: { name: "usr/bin/busybox", mode: 0o755 }, content: await readFile(program) },
    ...["sh", "sleep", "cat", "ls", "id", "wget", "nc", "hostname", "true", "test", "touch"].map(
      applet,
    ),
    { header: { name: "etc/passwd", mode: 0o644 }, content: passwd },
    { header: { name: "etc/group", mode: 0o644 }, content: group },
  ]);
}
