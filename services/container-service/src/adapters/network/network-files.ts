/** hosts, hostname and resolv.conf of containers on disk, and the host's own. */
import { type FileHandle, open, readFile } from "node:fs/promises";
import { hasErrno } from "@gantry/errors";
import { overwriteFile } from "@gantry/fs";
import { editHosts, textDigest } from "../../domain/network/container-files.ts";
import type { HostFiles, NetworkFileStore, NetworkFiles } from "../../ports/network-host.ts";
import type { ContainerFolders } from "../../ports/networking.ts";

/** systemd-resolved's stub is of no use in a container; this is what it stands for. */
const stubServer = /^nameserver\s+127\.0\.0\.53\s*$/m;
const hostFile = "/etc/resolv.conf";
const resolvedFile = "/run/systemd/resolve/resolv.conf";
/** A resolv.conf that somebody in the container made larger than this is not read. */
const maxResolvConfBytes = 64 * 1024;
/** The same of a hosts file, in which programs block a hundred thousand names. */
const maxHostsBytes = 8 * 1024 * 1024;

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

  async editHosts(
    containerId: string,
    before: readonly string[],
    after: readonly string[],
  ): Promise<void> {
    await rewrite(this.paths(containerId).hosts, maxHostsBytes, (content) => {
      // Whatever others wrote stays, byte by byte.
      const text = content.toString("latin1");
      const edited = editHosts(text, before.map(bytesOf), after.map(bytesOf));
      return edited === text ? undefined : Buffer.from(edited, "latin1");
    });
  }

  async rewriteResolvConf(containerId: string, digest: string, text: string): Promise<boolean> {
    return await rewrite(this.paths(containerId).resolvConf, maxResolvConfBytes, (content) =>
      textDigest(content) === digest ? Buffer.from(text) : undefined,
    );
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

/** UTF-8 as a text of one character a byte. */
function bytesOf(line: string): string {
  return Buffer.from(line).toString("latin1");
}

/**
 * Writes what `edit` makes of a file of at most `maxBytes`. Never made anew: the container sees this very inode.
 * Resolves whether it was written.
 */
async function rewrite(
  path: string,
  maxBytes: number,
  edit: (content: Buffer) => Buffer | undefined,
): Promise<boolean> {
  const file = await openToRewrite(path);
  if (file === undefined) return false;
  try {
    const { size } = await file.stat();
    if (size > maxBytes) return false;
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size), 0, size, 0);
    const edited = edit(buffer.subarray(0, bytesRead));
    if (edited === undefined) return false;
    for (let at = 0; at < edited.length; ) {
      at += (await file.write(edited, at, edited.length - at, at)).bytesWritten;
    }
    await file.truncate(edited.length);
    return true;
  } finally {
    await file.close();
  }
}

/** Undefined when there is none. */
async function openToRewrite(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, "r+");
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}

async function readOrEmpty(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return "";
    throw error;
  }
}
