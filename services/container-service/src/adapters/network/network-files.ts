/** hosts, hostname and resolv.conf of containers on disk, and the host's own. */
import { open, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { hasErrno } from "@gantry/errors";
import type { NetworkFileStore, NetworkFiles } from "../../ports/network-host.ts";
import type { ContainerFolders } from "../../ports/networking.ts";

/** systemd-resolved's stub is of no use in a container; this is what it stands for. */
const stubServer = /^nameserver\s+127\.0\.0\.53\s*$/m;
const resolvedFile = "/run/systemd/resolve/resolv.conf";

export class DiskNetworkFiles implements NetworkFileStore {
  readonly #folders: ContainerFolders;

  constructor(folders: ContainerFolders) {
    this.#folders = folders;
  }

  paths(containerId: string): { resolvConf: string; hosts: string; hostname: string } {
    const folder = this.#folders.containerDir(containerId);
    return {
      resolvConf: path.join(folder, "resolv.conf"),
      hosts: path.join(folder, "hosts"),
      hostname: path.join(folder, "hostname"),
    };
  }

  async write(containerId: string, files: NetworkFiles): Promise<void> {
    const paths = this.paths(containerId);
    // Readable by every user of the container, whatever our umask.
    const mode = 0o644;
    await Promise.all([
      writeFile(paths.resolvConf, files.resolvConf, { mode }),
      writeFile(paths.hosts, files.hosts, { mode }),
      writeFile(paths.hostname, files.hostname, { mode }),
    ]);
  }

  async rewriteHosts(containerId: string, text: string): Promise<void> {
    let file: Awaited<ReturnType<typeof open>>;
    try {
      // Never made anew: the container sees this very inode.
      file = await open(this.paths(containerId).hosts, "r+");
    } catch (error) {
      if (hasErrno(error, "ENOENT")) return;
      throw error;
    }
    try {
      const { bytesWritten } = await file.write(text, 0);
      await file.truncate(bytesWritten);
    } finally {
      await file.close();
    }
  }

  async host(): Promise<NetworkFiles> {
    const [resolvConf, hosts, hostname] = await Promise.all([
      hostResolvConf(),
      readOrEmpty("/etc/hosts"),
      readOrEmpty("/proc/sys/kernel/hostname"),
    ]);
    return { resolvConf, hosts, hostname };
  }
}

async function hostResolvConf(): Promise<string> {
  const text = await readOrEmpty("/etc/resolv.conf");
  if (!stubServer.test(text)) return text;
  const real = await readOrEmpty(resolvedFile);
  return real === "" ? text : real;
}

async function readOrEmpty(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return "";
    throw error;
  }
}
