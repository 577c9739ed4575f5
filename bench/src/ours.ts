/** Gantry as the benchmark starts it: the built bundles, with roots of their own. */
import { TestEngine } from "@gantry/testkit/test-engine";
import type { Engine } from "./engine.ts";

/** Command lines with this text are of the development supervisor, which production does not have. */
export const supervisorMark = "dist/supervisor/";

/** Starts Gantry without images and resolves when it answers. */
export async function startOurs(): Promise<Engine> {
  const engine = await TestEngine.start({ busybox: false });
  return {
    name: "gantry",
    version: await engine.docker(["version", "-f", "{{.Server.Version}}"]),
    dockerHost: engine.dockerHost,
    netns: undefined,
    mark: engine.root,
    [Symbol.asyncDispose]: async () => {
      const ids = (await engine.docker(["ps", "-aq"])).split("\n").filter((id) => id !== "");
      if (ids.length > 0) await engine.docker(["rm", "-f", ...ids]);
      await engine[Symbol.asyncDispose]();
    },
  };
}
