/** What an engine may have left on the machine: processes, mounts, cgroups, links, tables, namespaces. */
import { existsSync, globSync, readFileSync } from "node:fs";
import path from "node:path";
import { findHolders, type Holder } from "./holders.ts";
import { mustRun } from "./run.ts";

/** The engine's own folders and names: see {@link findEngineLeaks}. */
export interface EngineNames extends KernelNames {
  readonly dataRoot: string;
  readonly runRoot: string;
}

/**
 * What an engine that should be stopped has left: like findLeaks, but of processes only those that
 * run our programs, since anybody may look into a log or a volume.
 */
export async function findEngineLeaks(engine: EngineNames): Promise<string[]> {
  const { dataRoot, runRoot } = engine;
  const own = findHolders(runRoot, dataRoot).filter(({ program }) => ownProgram.test(program));
  const mounts = [
    ...mountsBelow(dataRoot).filter((point) => !isDiskOfUser(point, dataRoot)),
    ...mountsBelow(runRoot),
  ];
  return [...own.map(tell), ...mounts.map(tellMount), ...(await leftInKernel(engine))];
}

/**
 * Whether somebody mounted a disk for the engine's data here: on the root, a service's folder or what that keeps
 * folders in (`container-service/volumes`). The engine's own mounts are further down.
 */
function isDiskOfUser(point: string, dataRoot: string): boolean {
  return path.relative(dataRoot, point).split("/").length <= 2;
}

/** Programs that an engine runs: services, NATS, native programs, and those of them that have no file. */
const ownProgram = /\/(node|nats-server)$|\/native\/build\/|^\/memfd:gantry-/;

/** Names of what an engine makes in the kernel. */
export interface KernelNames {
  /** Cgroup parent of the engine. */
  readonly cgroupParent: string;
  /** First letters of its links. */
  readonly linkPrefix: string;
  /** Its nft table. */
  readonly nftTable: string;
}

/** What to look for. */
export interface LeakScope extends KernelNames {
  /** Folder of the engine: what is mounted or held open below it is its own. */
  readonly root: string;
}

/** Lists what is left, one line each; empty when the machine is clean. */
export async function findLeaks(scope: LeakScope): Promise<string[]> {
  const mounts = mountsBelow(scope.root).map(tellMount);
  return [...leftProcesses(scope.root), ...mounts, ...(await leftInKernel(scope))];
}

async function leftInKernel({
  cgroupParent,
  linkPrefix,
  nftTable,
}: KernelNames): Promise<string[]> {
  return [
    ...cgroupFolders(cgroupParent).map((folder) => `cgroup ${folder}`),
    ...(await linksOf(linkPrefix)).map((name) => `link ${name}`),
    ...(await tablesNamed(nftTable)).map((line) => `nft ${line}`),
  ];
}

/** Processes that use what is below this folder, our own left out. */
export function leftProcesses(root: string): string[] {
  return findHolders(root).map(tell);
}

const tell = ({ pid, program, file }: Holder): string =>
  `process ${String(pid)} (${program}): ${file}`;

const tellMount = (point: string): string => `mount ${point}`;

/** Mount points at or below a folder, the oldest first. */
export function mountsBelow(root: string): string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((point) => point === root || point.startsWith(`${root}/`));
}

/** Folders of a cgroup of this name: one in the only hierarchy, or one in each. */
export function cgroupFolders(parent: string): string[] {
  return [`/sys/fs/cgroup/${parent}`, ...globSync(`/sys/fs/cgroup/*/${parent}`)].filter((folder) =>
    existsSync(folder),
  );
}

/** Names of an engine's links. */
export async function linksOf(prefix: string): Promise<string[]> {
  const { stdout } = await mustRun(["ip", "-o", "link"]);
  return stdout
    .split("\n")
    .map((line) => line.split(": ")[1]?.split("@")[0] ?? "")
    .filter((name) => isLinkOf(prefix, name));
}

/**
 * Whether a link is an engine's: default bridge, bridge of a network, end of a veth pair. Another
 * instance's names begin with the same letters and go on with its own (`gtry` and `gtryx`).
 */
export function isLinkOf(prefix: string, name: string): boolean {
  return name.startsWith(prefix) && /^(0$|-|_)/.test(name.slice(prefix.length));
}

/** The nft tables of a name, as nft prints them: `table <family> <name>`. */
export async function tablesNamed(name: string): Promise<string[]> {
  const listed = await mustRun([
    "sh",
    "-c",
    "if command -v nft >/dev/null; then nft list tables; fi",
  ]);
  return listed.stdout.split("\n").filter((line) => line.split(" ")[2] === name);
}
