/** What tests of hostile containers share. */
import { readFileSync } from "node:fs";
import { debianProgram } from "@gantry/testkit/debian";
import {
  type LayerEntry,
  makeDockerArchive,
  makeImage,
  makeLayer,
} from "@gantry/testkit/image-maker";
import type { TestEngine } from "@gantry/testkit/test-engine";

/** Arguments of `docker run` for a script in busybox. */
export const sh = (script: string): string[] => ["busybox", "sh", "-c", script];

/** Lines of an output that have something in them. */
export const lines = (text: string): string[] => text.split("\n").filter((line) => line !== "");

/** Loads an image of busybox with further entries over it. */
export async function loadImage(
  engine: TestEngine,
  name: string,
  entries: readonly LayerEntry[],
  config: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  const program = await debianProgram("busybox-static", "/bin/busybox");
  const layer = await makeLayer([
    { header: { name: "bin/", type: "directory", mode: 0o755 } },
    { header: { name: "bin/busybox", mode: 0o755 }, content: readFileSync(program) },
    ...["sh", "cat", "ls", "sleep", "id", "stat", "touch", "grep"].map(
      (applet): LayerEntry => ({
        header: { name: `bin/${applet}`, type: "symlink", linkname: "busybox" },
      }),
    ),
    ...entries,
  ]);
  const image = makeImage({ layers: [layer], config: { Cmd: ["sh"], ...config } });
  await engine.docker(["load"], {
    input: await makeDockerArchive([{ image, tags: [`${name}:latest`] }]),
  });
}

/** PID of the process that looks after a container. */
export async function shimOf(engine: TestEngine, id: string): Promise<number> {
  const pid = await engine.docker(["inspect", "-f", "{{.State.Pid}}", id]);
  return Number(/^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
}
