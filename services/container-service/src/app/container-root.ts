/** A container's file system, running or not, for as long as something looks at it. */
import { conflict } from "@gantry/errors";
import { isLive } from "../domain/container-state.ts";
import { subpathOption } from "../domain/volume/oci-mounts.ts";
import { type RootBind, RootGoneError, type RootView } from "../ports/archives.ts";
import type { OciMount } from "../ports/volumes.ts";
import type { App } from "./context.ts";
import { type Entry, pidOf } from "./entry.ts";
import { untilExit } from "./until-exit.ts";

/** The end of a process that is gone is told within this time, or something hangs. */
const endTimeoutMs = 10_000;

/**
 * Calls back with the view, once more where that finds a process that has just ended. A container that does not run is
 * kept from starting meanwhile: its overlay must not be mounted twice.
 * @param withMounts of one that does not run: whether its mounts are there. They make their mount points.
 */
export async function withRoot<T>(
  app: App,
  entry: Entry,
  use: (view: RootView) => Promise<T>,
  withMounts = true,
): Promise<T> {
  const live = liveView(app, entry);
  if (live !== undefined) {
    try {
      return await use(live);
    } catch (error) {
      // It has ended, and that is about to be told: its files are there all the same.
      if (!(error instanceof RootGoneError) || !(await untilExit(entry, endTimeoutMs))) throw error;
    }
  }
  return await entry.serial.run(async () => {
    const started = liveView(app, entry);
    if (started !== undefined) return await use(started);
    const { status } = entry.record.state;
    if (status === "dead" || status === "removing" || entry.removing) {
      throw conflict(`container ${entry.id} is marked for removal`);
    }
    return await (withMounts ? withMounted(app, entry, use) : withBareRoot(app, entry, use));
  });
}

/** A mount of the bundle, as the shim would read it. */
function rootBind({ source, destination, options }: OciMount): RootBind {
  const subpath = options.find((option) => option.startsWith(subpathOption));
  return {
    source,
    subpath: subpath?.slice(subpathOption.length) ?? "",
    destination,
    readOnly: options.includes("ro"),
    recursive: options.includes("rbind"),
  };
}

/** The files of ours that a container has from its first start on, where its own mounts leave them a place. */
function ourFiles(dir: string, mounts: readonly OciMount[]): RootBind[] {
  const taken = new Set(mounts.map(({ destination }) => destination));
  if (taken.has("/etc")) return [];
  return ["resolv.conf", "hostname", "hosts"]
    .map((name): RootBind => {
      const place = { source: `${dir}/${name}`, subpath: "", destination: `/etc/${name}` };
      return { ...place, readOnly: false, recursive: false, optional: true };
    })
    .filter(({ destination }) => !taken.has(destination));
}

/**
 * What a start mounts on its own. It is of the kernel and the processes, not of the container's files: a file of /proc
 * has no size and would be copied as an empty one.
 */
const ofTheKernel = ["/proc", "/sys", "/dev"];

function liveView(app: App, entry: Entry): RootView | undefined {
  const { state } = entry.record;
  if (!isLive(state)) return undefined;
  const { pidStartTicks: startTicks } = state.run.launched;
  return { kind: "process", pid: pidOf(entry), startTicks, hidden: hiddenOf(app, entry) };
}

/** A volume or bind in one of them is to be seen, and with it that directory as the container has it. */
function hiddenOf(app: App, entry: Entry): string[] {
  const mounted = app.volumes
    .mountPoints(entry.id)
    .filter(({ type }) => type !== "tmpfs")
    .map(({ place }) => `${place}/`);
  return ofTheKernel.filter((each) => !mounted.some((point) => point.startsWith(`${each}/`)));
}

async function withBareRoot<T>(
  app: App,
  entry: Entry,
  use: (view: RootView) => Promise<T>,
): Promise<T> {
  const { id, rootfs } = entry.record;
  await using root = await app.roots.mount(id, rootfs, [], []);
  return await use({ kind: "folder", path: root.path });
}

async function withMounted<T>(
  app: App,
  entry: Entry,
  use: (view: RootView) => Promise<T>,
): Promise<T> {
  const { id, rootfs } = entry.record;
  const prepared = await app.volumes.prepareStart(id, app.lifetime);
  try {
    const binds = prepared.mounts.filter((mount) => mount.type === "bind").map(rootBind);
    binds.push(...ourFiles(app.folders.paths(id).dir, prepared.mounts));
    await using root = await app.roots.mount(id, rootfs, binds, []);
    return await use({ kind: "folder", path: root.path });
  } finally {
    app.volumes.release(id);
  }
}
