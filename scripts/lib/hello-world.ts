/** The hello-world image of machines that reach no registry: one layer, our own static program. */
import { readFileSync } from "node:fs";
import { makeDockerArchive, makeImage, makeLayer } from "@gantry/testkit/image-maker";
import { inRoot } from "./repository.ts";

/** Makes the archive that `docker load` takes. */
export async function makeHelloWorldArchive(): Promise<Uint8Array> {
  const content = readFileSync(inRoot("native/build/hello"));
  const header = { name: "hello", mode: 0o755, mtime: new Date(0) };
  const layer = await makeLayer([{ header, content }]);
  const image = makeImage({ layers: [layer], config: { Cmd: ["/hello"], WorkingDir: "/" } });
  return makeDockerArchive([{ image, tags: ["hello-world:latest"] }]);
}
