/** Peak memory of whoever stores images, in a pull of 1 GiB: our image-service; containerd and dockerd of the peer. */
import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { type MadeImage, makeImage, makeLayer, putImage } from "@gantry/testkit/image-maker";
import { startRegistry } from "@gantry/testkit/registry";
import type { Engine } from "./engine.ts";
import { docker } from "./measure.ts";
import { enginePids } from "./memory.ts";
import { startOurs } from "./ours.ts";
import { startPeer } from "./peer.ts";
import type { MemoryResult } from "./report.ts";

const layerCount = 4;
const layerBytes = 256 * 1024 * 1024;
const limitKiB = 150 * 1024;

/** Starts one engine after the other below `scratch`. */
export async function measurePullMemory(scratch: string): Promise<MemoryResult[]> {
  const dir = path.join(scratch, "registry-gibibyte");
  await using registry = await startRegistry({ dir });
  await putImage(registry.host, "bench/gibibyte", "1", await makeGibibyte());
  const name = `${registry.host}/bench/gibibyte:1`;
  const oursKiB = await withEngine(await startOurs(), name, ["image-service"]);
  const peer = await startPeer(path.join(scratch, "peer-pull"));
  const port = Number(registry.host.split(":")[1]);
  await using _mirror =
    peer.netns === undefined ? undefined : await startRegistry({ dir, port, netns: peer.netns });
  const peerKiB = await withEngine(peer, name, ["containerd", "dockerd"]);
  const title = "peak memory of the image store in a pull of 1 GiB (RSS)";
  return [{ title, limitKiB, oursKiB, peerKiB }];
}

/** Random bytes: nothing of it compresses. */
async function makeGibibyte(): Promise<MadeImage> {
  const layers: Uint8Array[] = [];
  for (let index = 0; index < layerCount; index += 1) {
    const header = { name: `large-${String(index)}`, mode: 0o644 };
    layers.push(await makeLayer([{ header, content: randomBytes(layerBytes) }]));
  }
  return makeImage({ layers, gzip: false });
}

async function withEngine(
  engine: Engine,
  name: string,
  programs: readonly string[],
): Promise<number> {
  await using running = engine;
  const pids = await storePids(running, programs);
  for (const pid of pids) await writeFile(`/proc/${String(pid)}/clear_refs`, "5");
  await docker(running, ["pull", "-q", name]);
  let sum = 0;
  for (const pid of pids) {
    const status = await readFile(`/proc/${String(pid)}/status`, "utf8");
    sum += Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]);
  }
  return sum;
}

/** The processes of these programs: by their file's name, or our bundles by their folder's. */
async function storePids({ mark }: Engine, programs: readonly string[]): Promise<number[]> {
  const found: number[] = [];
  for (const pid of await enginePids(mark)) {
    const words = (await readFile(`/proc/${String(pid)}/cmdline`, "utf8")).split("\0");
    const bundle = words.find((word) => word.endsWith("/main.mjs")) ?? "";
    const names = [path.basename(words[0] ?? ""), path.basename(path.dirname(bundle))];
    if (names.some((name) => programs.includes(name))) found.push(pid);
  }
  if (found.length !== programs.length)
    throw new Error(`found ${String(found.length)} processes of ${programs.join(" and ")}`);
  return found;
}
