/**
 * The engine to compare with: dockerd and containerd of Debian sid and the machine's runc,
 * unpacked, never installed, in a network namespace of their own, since a dockerd changes
 * the machine's FORWARD policy and bridge-nf-call-iptables.
 */

import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, existsSync } from "node:fs";
import { mkdir, readFile, rm, symlink } from "node:fs/promises";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { unpackDebianPackage } from "@gantry/testkit/debian";
import { cleanEnvironment, mustRun, run } from "@gantry/testkit/run";
import type { Engine } from "./engine.ts";

const usualNetns = "gtrypeer";
const iptablesPackages = [
  "iptables",
  "libxtables12",
  "libip4tc2",
  "libip6tc2",
  "libnftnl11",
  "libmnl0",
  "libnfnetlink0",
  "libnetfilter-conntrack3",
];

/** Starts the peer below `dir`, in a network namespace of that name, and resolves when it answers. */
export async function startPeer(dir: string, netns = usualNetns): Promise<Engine> {
  const environment = await peerEnvironment(dir);
  await mustRun(["ip", "netns", "add", netns]);
  await mustRun(["ip", "-n", netns, "link", "set", "lo", "up"]);
  const socket = path.join(dir, "docker.sock");
  const daemon = spawn(
    "nsenter",
    [
      `--net=/run/netns/${netns}`,
      "dockerd",
      ...["--data-root", path.join(dir, "data"), "--exec-root", path.join(dir, "exec")],
      ...["--pidfile", path.join(dir, "docker.pid"), "-H", `unix://${socket}`],
      ...["--insecure-registry", "127.0.0.0/8"],
    ],
    { env: environment, stdio: ["ignore", "ignore", "pipe"] },
  );
  daemon.stderr.pipe(createWriteStream(path.join(dir, "dockerd.log")));
  const dockerHost = `unix://${socket}`;
  await answering(daemon, dockerHost, path.join(dir, "dockerd.log"));
  const version = await mustRun(["docker", "version", "-f", "{{.Server.Version}}"], {
    env: cleanEnvironment({ DOCKER_HOST: dockerHost }),
  });
  return {
    name: "dockerd",
    version: version.stdout.trim(),
    dockerHost,
    netns,
    mark: dir,
    [Symbol.asyncDispose]: async () => {
      await stopPeer(daemon, dockerHost, dir, netns);
    },
  };
}

async function stopPeer(
  daemon: ChildProcess,
  dockerHost: string,
  dir: string,
  netns: string,
): Promise<void> {
  const env = cleanEnvironment({ DOCKER_HOST: dockerHost });
  const ids = (await run(["docker", "ps", "-aq"], { env })).stdout
    .split("\n")
    .filter((id) => id !== "");
  if (ids.length > 0) await run(["docker", "rm", "-f", ...ids], { env });
  daemon.kill("SIGTERM");
  await once(daemon, "close");
  await mustRun(["ip", "netns", "delete", netns]);
  await unmountBelow(dir);
  await rm(dir, { recursive: true, force: true });
}

/** A dockerd leaves the namespace file of its host network mounted. */
async function unmountBelow(dir: string): Promise<void> {
  const mounts = (await readFile("/proc/self/mounts", "utf8"))
    .split("\n")
    .map((line) => line.split(" ")[1] ?? "");
  for (const target of mounts.filter((mount) => mount.startsWith(`${dir}/`)).reverse())
    await mustRun(["umount", target]);
}

async function peerEnvironment(dir: string): Promise<Record<string, string>> {
  const docker = await unpackDebianPackage("docker.io", "sid");
  const containerd = await unpackDebianPackage("containerd", "sid");
  const runc = await unpackDebianPackage("runc");
  const libraries: string[] = [];
  let iptables = "";
  for (const name of iptablesPackages) {
    const root = await unpackDebianPackage(name);
    if (name === "iptables") iptables = root;
    libraries.push(path.join(root, "usr/lib", await multiarch()));
  }
  const links = path.join(dir, "bin");
  await mkdir(links, { recursive: true });
  for (const name of ["iptables", "ip6tables", "iptables-save", "iptables-restore"]) {
    if (!existsSync(path.join(links, name)))
      await symlink(path.join(iptables, "usr/sbin/xtables-nft-multi"), path.join(links, name));
  }
  const programs = [
    links,
    `${docker}/usr/sbin`,
    `${docker}/usr/bin`,
    `${containerd}/usr/bin`,
    `${runc}/usr/sbin`,
    `${runc}/usr/bin`,
  ];
  const base = cleanEnvironment();
  return {
    ...base,
    PATH: `${programs.join(":")}:${base["PATH"] ?? ""}`,
    LD_LIBRARY_PATH: libraries.join(":"),
    XTABLES_LIBDIR: path.join(iptables, "usr/lib", await multiarch(), "xtables"),
  };
}

async function multiarch(): Promise<string> {
  return (await mustRun(["dpkg-architecture", "-qDEB_HOST_MULTIARCH"])).stdout.trim();
}

async function answering(daemon: ChildProcess, dockerHost: string, log: string): Promise<void> {
  const env = cleanEnvironment({ DOCKER_HOST: dockerHost });
  const deadline = Date.now() + 60_000;
  for (;;) {
    if ((await run(["docker", "version"], { env })).code === 0) return;
    if (daemon.exitCode !== null || Date.now() > deadline) {
      throw new Error(`the peer does not start:\n${(await readFile(log, "utf8")).slice(-4000)}`);
    }
    await delay(100);
  }
}
