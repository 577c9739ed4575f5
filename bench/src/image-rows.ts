/** Rows of images beside the pull of a big one: many layers, all present, archives, push, a long list. */
import { rm, writeFile } from "node:fs/promises";
import path from "node:path";
import {
  type LayerEntry,
  type MadeImage,
  makeDockerArchive,
  makeImage,
  makeLayer,
  putImage,
} from "@gantry/testkit/image-maker";
import type { Engine } from "./engine.ts";
import type { Timed } from "./measure.ts";
import { docker } from "./measure.ts";
import { forgetImage } from "./scenarios.ts";

const layerCount = 30;
const filesPerLayer = 40;
const imageCount = 500;

/** What the rows need, made once. */
export interface ImageRowParts {
  /** `host:port` of a registry that both engines reach. */
  readonly host: string;
  /** Its folder. */
  readonly registryDir: string;
  /** For archives. */
  readonly scratch: string;
  /** The 300 MB image. */
  readonly big: MadeImage;
  readonly rounds: number;
}

/** Puts the images where the rows find them, and describes the rows. */
export async function makeImageRows(parts: ImageRowParts): Promise<Timed[]> {
  const { host, scratch, big, rounds } = parts;
  await putImage(host, "bench/many", "1", await makeManyLayers());
  const archive = path.join(scratch, "big.tar");
  await writeFile(archive, await makeDockerArchive([{ image: big, tags: ["bench-big:1"] }]));
  const listed = path.join(scratch, "listed.tar");
  await writeFile(listed, await makeListed());
  const many = `${host}/bench/many:1`;
  const row = (title: string, goal: number, act: (engine: Engine) => Promise<unknown>): Timed => ({
    title,
    goal,
    net: false,
    rounds,
    act: async (engine) => {
      await act(engine);
      return undefined;
    },
  });
  const load = async (engine: Engine): Promise<unknown> =>
    docker(engine, ["load", "-q", "-i", archive]);
  return [
    {
      ...row("pull of 30 small layers", 0.6, (engine) => docker(engine, ["pull", "-q", many])),
      // Short enough for the machine's other work to show.
      rounds: Math.max(rounds, 9),
      before: (engine) => forgetImage(engine, many),
    },
    row("second pull, all present", 1.0, (engine) => docker(engine, ["pull", "-q", many])),
    {
      ...row("load of a 300 MB archive", 0.7, load),
      // Its layers came by a pull, too: while that image is there, nothing needs to be unpacked.
      before: async (engine) => {
        await forgetImage(engine, `${host}/bench/five:1`);
        await forgetImage(engine, "bench-big:1");
      },
    },
    row("save of a 300 MB image", 1.0, (engine) =>
      docker(engine, ["save", "-o", path.join(scratch, `saved-${engine.name}.tar`), "bench-big:1"]),
    ),
    {
      ...row("push of a 300 MB image", 1.0, (engine) =>
        docker(engine, ["push", "-q", `${host}/bench/pushed:1`]),
      ),
      before: async (engine) => {
        await docker(engine, ["tag", "bench-big:1", `${host}/bench/pushed:1`]);
        await rm(path.join(parts.registryDir, "data"), { recursive: true, force: true });
      },
    },
    {
      ...row("images with 500 images", 1.0, (engine) => docker(engine, ["images", "-q"])),
      before: async (engine) => {
        const known = (await docker(engine, ["images", "-q", "bench-listed"])).split("\n").length;
        if (known < imageCount) await docker(engine, ["load", "-q", "-i", listed]);
      },
    },
  ];
}

async function makeManyLayers(): Promise<MadeImage> {
  const layers: Uint8Array[] = [];
  for (let layer = 0; layer < layerCount; layer += 1) {
    const entries = Array.from(
      { length: filesPerLayer },
      (_, index): LayerEntry => ({
        header: { name: `srv/layer-${String(layer)}/file-${String(index)}`, mode: 0o644 },
        content: `${String(layer)} ${String(index)}\n`.repeat(400),
      }),
    );
    layers.push(await makeLayer(entries));
  }
  return makeImage({ layers });
}

/** Images that differ in their configs only. */
async function makeListed(): Promise<Uint8Array> {
  const layer = await makeLayer([{ header: { name: "file", mode: 0o644 }, content: "listed" }]);
  return makeDockerArchive(
    Array.from({ length: imageCount }, (_, index) => ({
      image: makeImage({ layers: [layer], config: { Labels: { number: String(index) } } }),
      tags: [`bench-listed:${String(index)}`],
    })),
  );
}
