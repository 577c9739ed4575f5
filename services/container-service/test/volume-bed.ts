/** Volumes over real files, mounts and the unpack program, and an image of two layers to fill them from. */
import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { rm } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach } from "node:test";
import { silentLogger } from "@gantry/logging";
import { loadKernel, nativeArtifact } from "@gantry/native";
import type { LocalVolumes } from "../src/app/volume/local-volumes.ts";
import { createVolumes } from "../src/compose-volumes.ts";
import type { ImageRootfs, MountedContainer, MountPointView } from "../src/ports/volumes.ts";
import { MemoryStore } from "./memory-store.ts";

const shown = { id: "sha256:1", manifestDigest: "sha256:2" };

/** What the tests of one file share; new for each of them. */
export class VolumeBed {
  readonly signal = new AbortController().signal;
  dir = "";
  store = new MemoryStore();
  volumes: LocalVolumes = this.create();
  image: ImageRootfs = { lowerDirs: [] };

  async open(): Promise<void> {
    this.dir = mkdtempSync("/tmp/gantry-volumes-");
    this.store = new MemoryStore();
    this.image = makeImage(this.dir);
    this.volumes = this.create();
    await this.volumes.open();
  }

  /** Fails when a mount was left behind. */
  async close(): Promise<void> {
    await this.volumes.teardownHost();
    const mounts = readFileSync("/proc/self/mountinfo", "utf8");
    assert.ok(!mounts.includes(this.dir), "a mount was left behind");
    // Not rmSync: it takes what a thread still empties from the trash for all that there was.
    await rm(this.dir, { recursive: true, force: true });
  }

  /** The next service's volumes, on the same files and records. */
  create(): LocalVolumes {
    return createVolumes({
      dataDir: this.dir,
      kernel: loadKernel(),
      store: this.store,
      images: { open: () => Promise.resolve({ ...this.image, image: shown }) },
      directory: { resolveId: (reference) => reference },
      unpackProgram: nativeArtifact("unpack"),
      logger: silentLogger(),
    });
  }

  attach(id: string, choice: Partial<MountedContainer>): Promise<unknown> {
    const nothing = { volumes: [], mounts: [], tmpfs: {}, volumeDriver: "", workingDir: "" };
    return this.volumes.attach({ id, ...nothing, ...choice }, this.image, "", this.signal);
  }

  mountPoint(id: string, destination: string): MountPointView {
    const found = this.volumes.mountPoints(id).find((each) => each.destination === destination);
    return found ?? assert.fail(`no mount at ${destination}`);
  }

  actions(): string[] {
    return this.store.events.map(({ action }) => action);
  }

  volumeNames(): string[] {
    return readdirSync(path.join(this.dir, "volumes")).filter((name) => name !== ".trash");
  }
}

/** A bed for each test of the suite that calls this. */
export function useVolumes(): VolumeBed {
  const bed = new VolumeBed();
  beforeEach(() => bed.open());
  afterEach(() => bed.close());
  return bed;
}

/** Two layers: `upper` over `lower`. */
function makeImage(dir: string): ImageRootfs {
  const upper = path.join(dir, "upper");
  const lower = path.join(dir, "lower");
  mkdirSync(path.join(lower, "data/sub"), { recursive: true });
  mkdirSync(path.join(lower, "etc"));
  mkdirSync(path.join(upper, "data"), { recursive: true });
  mkdirSync(path.join(upper, "empty"));
  writeFileSync(path.join(lower, "etc/passwd"), "the image's");
  writeFileSync(path.join(lower, "data/old"), "old");
  writeFileSync(path.join(lower, "data/sub/owned"), "x");
  chownSync(path.join(lower, "data/sub/owned"), 1000, 1001);
  chmodSync(path.join(lower, "data/sub/owned"), 0o4750);
  writeFileSync(path.join(upper, "data/new"), "new");
  linkSync(path.join(upper, "data/new"), path.join(upper, "data/hard"));
  symlinkSync("/etc/passwd", path.join(upper, "data/link"));
  chownSync(path.join(upper, "data"), 33, 34);
  chmodSync(path.join(upper, "data"), 0o1777);
  symlinkSync("/etc", path.join(upper, "outside"));
  symlinkSync("../../../../../../data", path.join(upper, "climbing"));
  return { lowerDirs: [upper, lower] };
}
