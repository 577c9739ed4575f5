/** What an engine must not leave on a machine. */
import { readFile, readdir } from "node:fs/promises";
import { existsSync } from "node:fs";
import path from "node:path";
import { run } from "@gantry/testkit/run";

/**
 * Lists processes, mounts, cgroups, links, network namespaces and nft tables of the engine
 * whose roots are below `root`, one line each; empty when the machine is clean.
 */
export async function findLeftovers(root: string): Promise<string[]> {
  return [...(await processes(root)), ...(await mounts(root)), ...(await cgroups(path.basename(root))), ...(await network(root))];
}

async function processes(root: string): Promise<string[]> {
  const found: string[] = [];
  for (const pid of await readdir("/proc")) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue;
    const text = await Promise.all(["cmdline", "environ", "cgroup"].map(async (file) => await readFile(`/proc/${pid}/${file}`, "utf8").catch(() => "")));
    if (text[0]?.includes(root) === true || text[1]?.includes(`${root}/`) === true || text[2]?.includes(path.basename(root)) === true) {
      found.push(`process ${pid}: ${(text[0] ?? "").replaceAll("\0", " ")}`);
    }
  }
  return found;
}

async function mounts(root: string): Promise<string[]> {
  return (await readFile("/proc/self/mounts", "utf8")).split("\n").filter((line) => line.includes(root)).map((line) => `mount ${line}`);
}

async function cgroups(parent: string): Promise<string[]> {
  const hierarchies = (await readdir("/sys/fs/cgroup")).map((name) => path.join("/sys/fs/cgroup", name, parent));
  return [path.join("/sys/fs/cgroup", parent), ...hierarchies].filter((dir) => existsSync(dir)).map((dir) => `cgroup ${dir}`);
}

/** Links and tables carry no root in their names: a test machine runs no other Gantry, so none may remain. */
async function network(root: string): Promise<string[]> {
  const links = (await run(["ip", "-o", "link"])).stdout.split("\n").filter((line) => line.includes("gtry"));
  const namespaces = (await run(["ip", "netns"])).stdout.split("\n").filter((line) => line.includes(path.basename(root)));
  const tables = (await run(["nft", "list", "tables"])).stdout.split("\n").filter((line) => line.includes("gantry"));
  return [...links.map((line) => `link ${line}`), ...namespaces.map((line) => `netns ${line}`), ...tables.map((line) => `nft ${line}`)];
}
