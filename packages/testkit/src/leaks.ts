/** What an engine may have left on the machine: processes, mounts, cgroups, links, tables, namespaces. */
import { globSync, readdirSync, readFileSync } from "node:fs";
import { hasErrno } from "@gantry/errors";
import { run } from "./run.ts";

/** The engine's own folders and names: see {@link findEngineLeaks}. */
export interface EngineNames {
  readonly dataRoot: string;
  readonly runRoot: string;
  readonly cgroupParent: string;
  readonly linkPrefix: string;
  readonly nftTable: string;
}

/**
 * What an engine that should be stopped has left: like findLeaks, but of processes only those that
 * run our programs, since anybody's command line may name docker.sock.
 */
export async function findEngineLeaks(engine: EngineNames): Promise<string[]> {
  const { dataRoot, runRoot, cgroupParent, linkPrefix, nftTable } = engine;
  return [
    ...leftProcesses(runRoot).filter((line) => ownProgram.test(line)),
    ...leftRecorded(runRoot),
    ...leftMounts(dataRoot),
    ...leftMounts(runRoot),
    ...leftCgroups(cgroupParent),
    ...(await leftLinks(linkPrefix)),
    ...(await leftTables(nftTable)),
  ];
}

/** Command lines of ours. */
const ownProgram = /gantry-shim|native\/build\/|nats-server -c/;

/** Services that a supervisor wrote down. */
function leftRecorded(runRoot: string): string[] {
  return globSync(`${runRoot}/processes/*.json`)
    .map((file) => (JSON.parse(readOrEmpty(file)) as { pid?: number }).pid ?? 0)
    .map((pid) => ({ pid, command: readOrEmpty(`/proc/${String(pid)}/cmdline`) }))
    .filter(({ command }) => command.includes("main.mjs"))
    .map(({ pid, command }) => `process ${String(pid)}: ${command.replaceAll("\0", " ").trim()}`);
}

/** What to look for. */
export interface LeakScope {
  /** Folder of the engine: processes and mounts that name it are its own. */
  readonly root: string;
  /** Cgroup parent of the engine. */
  readonly cgroupParent: string;
  /** First letters of its links. */
  readonly linkPrefix: string;
  /** Its nft table. */
  readonly nftTable: string;
}

/** Lists what is left, one line each; empty when the machine is clean. */
export async function findLeaks(scope: LeakScope): Promise<string[]> {
  return [
    ...leftProcesses(scope.root),
    ...leftMounts(scope.root),
    ...leftCgroups(scope.cgroupParent),
    ...(await leftLinks(scope.linkPrefix)),
    ...(await leftTables(scope.nftTable)),
  ];
}

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    // The process ended while we looked at it.
    if (hasErrno(error, "ENOENT") || hasErrno(error, "ESRCH")) return "";
    throw error;
  }
}

/** Processes whose command line holds this text, our own left out. */
export function leftProcesses(root: string): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map((pid) => ({ pid, command: readOrEmpty(`/proc/${pid}/cmdline`).replaceAll("\0", " ") }))
    .filter(({ command }) => command.includes(root))
    .map(({ pid, command }) => `process ${pid}: ${command.trim()}`);
}

function leftMounts(root: string): string[] {
  return readOrEmpty("/proc/self/mountinfo")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((point) => point === root || point.startsWith(`${root}/`))
    .map((point) => `mount ${point}`);
}

function leftCgroups(parent: string): string[] {
  return [`/sys/fs/cgroup/${parent}`, ...globSync(`/sys/fs/cgroup/*/${parent}`)]
    .filter((folder) => globSync(folder).length > 0)
    .map((folder) => `cgroup ${folder}`);
}

async function leftLinks(prefix: string): Promise<string[]> {
  const { stdout } = await run(["ip", "-o", "link"]);
  return stdout
    .split("\n")
    .map((line) => line.split(": ")[1]?.split("@")[0] ?? "")
    .filter((name) => isLinkOf(prefix, name))
    .map((name) => `link ${name}`);
}

/**
 * Whether a link is an engine's: default bridge, bridge of a network, end of a veth pair. Another
 * instance's names begin with the same letters and go on with its own (`gtry` and `gtryx`).
 */
export function isLinkOf(prefix: string, name: string): boolean {
  return name.startsWith(prefix) && /^(0$|-|_)/.test(name.slice(prefix.length));
}

async function leftTables(table: string): Promise<string[]> {
  const listed = await run(["sh", "-c", "command -v nft >/dev/null && nft list tables || true"]);
  return listed.stdout
    .split("\n")
    .filter((line) => line.split(" ")[2] === table)
    .map((line) => `nft ${line}`);
}
