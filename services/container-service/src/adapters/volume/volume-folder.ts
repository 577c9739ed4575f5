/**
 * Volumes on disk, and mounts on the host for them:
 *
 *   <data>/volumes/<name>/_data        a volume's files; mount point of one with driver options
 *   <data>/volumes/<name>/fill-…       the image's files on their way into _data
 *   <data>/volumes/.trash/<hash>.<id>  removed volumes whose files are being deleted
 *   <data>/image-mounts/<container>/…  views of images for containers
 */
import type { Stats } from "node:fs";
import { mkdir, readdir, readFile, rm, rmdir, stat } from "node:fs/promises";
import path from "node:path";
import { errnoText, hasErrno, internal, toEngineError } from "@gantry/errors";
import { Turns } from "@gantry/fs";
import type { Logger } from "@gantry/logging";
import { type Kernel, removeTree } from "@gantry/native";
import { isVolumeName, type VolumeMount } from "../../domain/volume/volume-rules.ts";
import type { FolderWork } from "../../ports/metadata.ts";
import type {
  FillSource,
  FoundVolume,
  SourceMount,
  VolumeHost,
  VolumeRemoval,
} from "../../ports/volume-host.ts";
import type { ImageRootfs } from "../../ports/volumes.ts";
import { diskUsageBytes } from "./disk-usage.ts";
import { fillFromImage } from "./fill-from-image.ts";
import { finishFilling, isFilling } from "./finish-filling.ts";
import { hasWorkingFolder } from "./image-place.ts";
import { endImageViews, isImageView, openImageView } from "./image-view.ts";
import { mountVolume } from "./mount-volume.ts";
import { sourceMount, unescapePath } from "./source-facts.ts";
import { resolveSubpath } from "./subpath.ts";
import { VolumeTrash } from "./volume-trash.ts";

/** What the folder needs. */
export interface VolumeFolderOptions {
  /** The service's data folder. */
  readonly dataDir: string;
  readonly kernel: Kernel;
  /** Path of the unpack program. */
  readonly unpackProgram: string;
  readonly logger: Logger;
}

/** MNT_DETACH. */
const detach = 2;
/** Nobody but us looks at the files by these paths. */
const privateMode = 0o700;
/** Of a volume's files, until somebody fills it. */
const filesMode = 0o755;

export class VolumeFolder implements VolumeHost {
  readonly #options: VolumeFolderOptions;
  readonly #volumes: string;
  readonly #trashFolder: string;
  readonly #trash: VolumeTrash;
  readonly #imageMounts: string;
  /** One filling of a volume at a time. */
  readonly #filling = new Turns();
  /** What is let go in the background must be gone before it is made again. */
  readonly #mounting = new Turns();
  readonly #imageMounting = new Turns();

  constructor(options: VolumeFolderOptions) {
    this.#options = options;
    this.#volumes = path.join(options.dataDir, "volumes");
    this.#trashFolder = path.join(this.#volumes, ".trash");
    this.#trash = new VolumeTrash(this.#trashFolder, options.logger);
    this.#imageMounts = path.join(options.dataDir, "image-mounts");
  }

  async open(recorded: readonly string[]): Promise<void> {
    for (const folder of [this.#volumes, this.#trashFolder, this.#imageMounts]) {
      await mkdir(folder, { recursive: true, mode: privateMode });
    }
    await this.#trash.empty(recorded, (name) => this.#folderOf(name));
    await endImageViews(this.#options.kernel, this.#imageMounts);
    for (const name of await this.#names()) await this.#endHalfDone(name);
  }

  /** A copy that a crash cut short, its volume is as it was, or has all of it; or a volume whose making was. */
  async #endHalfDone(name: string): Promise<void> {
    const folder = this.#folderOf(name);
    await this.#trash.putBack(folder, this.mountpoint(name));
    await finishFilling(this.#options.kernel, folder, this.mountpoint(name));
    const entries = await readdir(folder);
    for (const entry of entries) {
      if (isFilling(entry)) await removeTree(path.join(folder, entry));
    }
    if (entries.length === 0) await rmdir(folder);
  }

  /** Folders that may be volumes: a disk that is mounted here has one of its own. */
  async #names(): Promise<string[]> {
    const entries = await readdir(this.#volumes, { withFileTypes: true });
    return entries
      .filter((entry) => entry.isDirectory() && isVolumeName(entry.name))
      .map(({ name }) => name);
  }

  #folderOf(name: string): string {
    return `${this.#volumes}/${name}`;
  }

  mountpoint(name: string): string {
    return `${this.#folderOf(name)}/_data`;
  }

  async list(): Promise<FoundVolume[]> {
    const found: FoundVolume[] = [];
    for (const name of await this.#names()) {
      const facts = await statOrNothing(this.mountpoint(name));
      if (facts?.isDirectory() !== true) continue;
      found.push({
        name,
        createdNano: BigInt(Math.round(facts.birthtimeMs)) * 1_000_000n,
      });
    }
    return found;
  }

  making(name: string): FolderWork {
    return {
      before: [{ make: this.#folderOf(name), mode: privateMode }],
      after: [{ make: this.mountpoint(name), mode: filesMode }],
    };
  }

  /** The folder is mostly there. */
  async ensure(name: string): Promise<boolean> {
    try {
      await mkdir(this.mountpoint(name), { mode: filesMode });
    } catch (error) {
      if (hasErrno(error, "ENOENT")) return false;
      if (!hasErrno(error, "EEXIST")) throw error;
    }
    return true;
  }

  removing(name: string): VolumeRemoval {
    return this.#trash.removing(name, this.#folderOf(name), this.mountpoint(name));
  }

  async fill(name: string, from: FillSource, signal: AbortSignal): Promise<void> {
    await this.#filling.take(name, () => this.#fillNow(name, from, signal));
  }

  async #fillNow(name: string, from: FillSource, signal: AbortSignal): Promise<void> {
    const target = this.mountpoint(name);
    const { mount, subpath } = from;
    // Most that are used again hold something: that needs no look at the image.
    if (mount === undefined && subpath === "" && !(await isEmptyFolder(target))) return;
    const { kernel, unpackProgram, dataDir } = this.#options;
    await finishFilling(kernel, path.dirname(target), target);
    await using view = await openImageView(kernel, path.join(dataDir, "image-mounts"), from.image);
    await fillFromImage({
      kernel,
      unpackProgram,
      layers: from.image.lowerDirs,
      view: view.path,
      source: from.path,
      declared: from.declared,
      target,
      subpath,
      inPlace: mount !== undefined,
      makeReady: async () => {
        if (mount !== undefined) await this.#mountToFill(name, mount);
      },
      signal,
    });
  }

  async hasWorkingFolder(image: ImageRootfs, folder: string): Promise<boolean> {
    const { kernel, dataDir } = this.#options;
    await using view = await openImageView(kernel, path.join(dataDir, "image-mounts"), image);
    return hasWorkingFolder(kernel, view.path, folder);
  }

  async #mountToFill(name: string, mount: VolumeMount): Promise<void> {
    try {
      await this.mount(name, mount);
    } catch (error) {
      throw internal(`failed to populate volume: ${toEngineError(error).message}`, {
        cause: error,
      });
    }
  }

  async mount(name: string, mount: VolumeMount): Promise<void> {
    await this.#mounting.take(name, () => this.#mountNow(name, mount));
  }

  async #mountNow(name: string, mount: VolumeMount): Promise<void> {
    const target = this.mountpoint(name);
    if (await isMountPoint(target)) return;
    try {
      await mountVolume(this.#options.kernel, target, mount);
    } catch (error) {
      const text = toEngineError(error).message;
      throw internal(`error while mounting volume '${target}': ${text}`, { cause: error });
    }
  }

  async unmount(name: string): Promise<void> {
    await this.#mounting.take(name, () =>
      unmountIfMounted(this.#options.kernel, this.mountpoint(name)),
    );
  }

  sizeBytes(name: string, signal: AbortSignal): Promise<bigint> {
    return diskUsageBytes(this.mountpoint(name), signal);
  }

  async lookUp(file: string): Promise<"there" | "missing" | "below-a-file"> {
    try {
      await stat(file);
      return "there";
    } catch (error) {
      if (hasErrno(error, "ENOENT")) return "missing";
      if (hasErrno(error, "ENOTDIR")) return "below-a-file";
      throw error;
    }
  }

  resolveSubpath(base: string, subpath: string): Promise<string> {
    return resolveSubpath(base, subpath);
  }

  sourceMount(source: string): Promise<SourceMount> {
    return sourceMount(source);
  }

  async makeDirectory(folder: string): Promise<void> {
    // Step by step: a recursive mkdir of Node never ends where the kernel makes no directories (/proc).
    let above = "/";
    for (const part of folder.split("/")) {
      above = path.join(above, part);
      await makeOne(above);
    }
  }

  async mountImage(containerId: string, index: number, image: ImageRootfs): Promise<string> {
    const [only, ...others] = image.lowerDirs;
    if (only === undefined) throw internal("image without a file system");
    if (others.length === 0) return only;
    const target = path.join(this.#imageMounts, containerId, String(index));
    await this.#imageMounting.take(containerId, async () => {
      await mkdir(target, { recursive: true, mode: privateMode });
      if (await isMountPoint(target)) return;
      await this.#options.kernel.mountOverlay({ lowerDirs: image.lowerDirs, target });
    });
    return target;
  }

  async imageMountOwners(): Promise<string[]> {
    const names = await readdir(this.#imageMounts);
    return names.filter((name) => !isImageView(name));
  }

  async unmountImages(containerId: string): Promise<void> {
    await this.#imageMounting.take(containerId, () => this.#unmountImagesNow(containerId));
  }

  async #unmountImagesNow(containerId: string): Promise<void> {
    const folder = path.join(this.#imageMounts, containerId);
    for (const index of await readdirOrNothing(folder)) {
      await unmountIfMounted(this.#options.kernel, path.join(folder, index));
    }
    await rm(folder, { recursive: true, force: true });
  }
}

async function makeOne(folder: string): Promise<void> {
  try {
    await mkdir(folder, { mode: 0o755 });
  } catch (error) {
    // A link that leads nowhere is there, too.
    if (hasErrno(error, "EEXIST") && (await statOrNothing(folder)) !== undefined) return;
    const { errno = 0 } = error as NodeJS.ErrnoException;
    throw internal(`mkdir ${folder}: ${errnoText(errno)}`, { cause: error });
  }
}

async function unmountIfMounted(kernel: Kernel, target: string): Promise<void> {
  if (await isMountPoint(target)) await kernel.unmount(target, detach);
}

/** False, too, of one that is missing: there is nothing to fill, and the start says so. */
async function isEmptyFolder(folder: string): Promise<boolean> {
  try {
    return (await readdir(folder)).length === 0;
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return false;
    throw error;
  }
}

/** By the kernel's list: comparing devices would miss binds of the same file system. */
async function isMountPoint(target: string): Promise<boolean> {
  const mounts = await readFile("/proc/self/mountinfo", "utf8");
  return mounts.split("\n").some((line) => unescapePath(line.split(" ")[4] ?? "") === target);
}

async function statOrNothing(file: string): Promise<Stats | undefined> {
  try {
    return await stat(file);
  } catch (error) {
    if (hasErrno(error, "ENOENT") || hasErrno(error, "ENOTDIR")) return undefined;
    throw error;
  }
}

async function readdirOrNothing(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return [];
    throw error;
  }
}
