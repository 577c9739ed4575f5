/** The image `busybox` of tests and benchmarks: Debian's busybox-static with its applets, users and an empty /tmp. */
import { readFile } from "node:fs/promises";
import { debianProgram } from "./debian.ts";
import type { LayerEntry, MadeImage } from "./image-maker.ts";
import { makeDockerArchive, makeImage, makeLayer } from "./image-maker.ts";
import { mustRun } from "./run.ts";

const passwd =
  "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\nnobody:x:65534:65534:nobody:/home:/bin/false\n";
const group = "root:x:0:\ndaemon:x:1:\nwheel:x:10:root\nnobody:x:65534:\n";

/** Makes the image with the command `sh`. */
async function makeBusyboxImage(): Promise<MadeImage> {
  const program = await debianProgram("busybox-static", "/bin/busybox");
  const applets = (await mustRun([program, "--list"])).stdout.trim().split("\n");
  const directory = (name: string, mode = 0o755): LayerEntry => ({
    header: { name: `${name}/`, type: "directory", mode },
  });
  const layer = await makeLayer([
    ...[
      "bin",
      "etc",
      "home",
      "usr",
      "var",
      "root",
      "dev",
      "proc",
      "sys",
      "usr/bin",
      "usr/sbin",
      "var/run",
    ].map((name) => directory(name)),
    directory("tmp", 0o1777),
    {
      header: { name: "bin/busybox", mode: 0o755 },
      content: await readFile(program),
    },
    ...applets
      .filter((applet) => applet !== "busybox")
      .map(
        (applet): LayerEntry => ({
          header: {
            name: `bin/${applet}`,
            type: "symlink",
            linkname: "busybox",
          },
        }),
      ),
    { header: { name: "etc/passwd", mode: 0o644 }, content: passwd },
    { header: { name: "etc/group", mode: 0o644 }, content: group },
  ]);
  return makeImage({
    layers: [layer],
    config: {
      Cmd: ["sh"],
      Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
    },
  });
}

/** The archive of {@link makeBusyboxImage} named `busybox:latest`, for `docker load`. */
export async function makeBusyboxArchive(): Promise<Uint8Array> {
  return await makeDockerArchive([{ image: await makeBusyboxImage(), tags: ["busybox:latest"] }]);
}
