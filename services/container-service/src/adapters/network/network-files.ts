/** hosts, hostname and resolv.conf of containers on disk, and the host's own. */
import { type FileHandle, open, readFile } from "node:fs/promises";
import { hasErrno } from "@gantry/errors";
import { overwriteFile } from "@gantry/fs";
import { textDigest } from "../../domain/network/container-files.ts";
import type { HostFiles, NetworkFileStore, NetworkFiles } from "../../ports/network-host.ts";
import type { ContainerFolders } from "../../ports/networking.ts";

/** systemd-resolved's stub is of no use in a container; this is what it stands for. */
const stubServer = /^nameserver\s+127\.0\.0\.53\s*$/m;
const hostFile = "/etc/resolv.conf";
const resolvedFile = "/run/systemd/resolve/resolv.conf";
/** A resolv.conf that somebody in the container made larger than this is not read. */
const maxResolvConfBytes = 64 * 1024;

export class DiskNetworkFiles implements NetworkFileStore {
  readonly #folders: ContainerFolders;

  constructor(folders: ContainerFolders) {
    this.#folders = folders;
  }

  paths(containerId: string): { resolvConf: string; hosts: string; hostname: string } {
    const folder = this.#folders.containerDir(containerId);
    return {
      resolvConf: `${folder}/resolv.conf`,
      hosts: `${folder}/hosts`,
      hostname: `${folder}/hostname`,
    };
  }

  async write(containerId: string, files: NetworkFiles): Promise<void> {
    const paths = this.paths(containerId);
    // Readable by every user of the container, whatever our umask.
    const mode = 0o644;
    await Promise.all([
      overwriteFile(paths.resolvConf, files.resolvConf, mode),
      overwriteFile(paths.hosts, files.hosts, mode),
      overwriteFile(paths.hostname, files.hostname, mode),
    ]);
  }

  async rewriteHosts(containerId: string, text: string): Promise<void> {
    const file = await openToRewrite(this.paths(containerId).hosts);
    if (file === undefined) return;
    try {
      await replace(file, text);
    } finally {
      await file.close();
    }
  }

  async rewriteResolvConf(containerId: string, digest: string, text: string): Promise<boolean> {
    const file = await openToRewrite(this.paths(containerId).resolvConf);
    if (file === undefined) return false;
    try {
      const { size } = await file.stat();
      if (size > maxResolvConfBytes) return false;
      const { buffer, bytesRead } = await file.read(Buffer.alloc(size), 0, size, 0);
      if (textDigest(buffer.subarray(0, bytesRead)) !== digest) return false;
      await replace(file, text);
      return true;
    } finally {
      await file.close();
    }
  }

  async host(): Promise<HostFiles> {
    const [resolvConf, hosts, hostname] = await Promise.all([
      readOrEmpty(hostFile),
      readOrEmpty("/etc/hosts"),
      readOrEmpty("/proc/sys/kernel/hostname"),
    ]);
    const real = stubServer.test(resolvConf) ? await readOrEmpty(resolvedFile) : "";
    const reachable =
      real === ""
        ? { resolvConf, resolvConfPath: hostFile }
        : { resolvConf: real, resolvConfPath: resolvedFile };
    return { resolvConf, resolvConfPath: hostFile, reachable, hosts, hostname };
  }
}

/** Never made anew: the container sees this very inode. Undefined when there is none. */
async function openToRewrite(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, "r+");
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}

async function replace(file: FileHandle, text: string): Promise<void> {
  const { bytesWritten } = await file.write(text, 0);
  await file.truncate(bytesWritten);
}

async function readOrEmpty(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return "";
    throw error;
  }
}
