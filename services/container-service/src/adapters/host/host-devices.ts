/** Devices of the host, read from /dev. */
import { lstatSync, readdirSync, type Stats, statSync } from "node:fs";
import path from "node:path";
import { internal, invalidArgument } from "@gantry/errors";
import type { GrantedDevice } from "../../domain/bundle/bundle-input.ts";
import type { HostDevices } from "../../ports/host.ts";

/** Folders under /dev that containers have of their own. */
const skippedFolders = new Set(["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"]);

export function openHostDevices(): HostDevices {
  return {
    resolve({ pathOnHost, pathInContainer, cgroupPermissions }) {
      const access = cgroupPermissions || "rwm";
      const target = pathInContainer || pathOnHost;
      const found = statOf(pathOnHost);
      if (!found.isDirectory()) return [granted(pathOnHost, target, found, access)];
      const devices = walk(
        pathOnHost,
        (file) => path.join(target, path.relative(pathOnHost, file)),
        access,
      );
      if (devices.length === 0) throw gathering(pathOnHost, "not a device node");
      return devices;
    },
    all: () =>
      walk("/dev", (file) => file, "rwm").filter(({ device }) => device.path !== "/dev/console"),
    blockDevices: (paths) =>
      new Map(
        paths.map((file) => {
          const stats = blockStatOf(file);
          if (!stats.isBlockDevice()) throw invalidArgument(`${file} is not a block device`);
          return [file, numbersOf(stats)];
        }),
      ),
  };
}

function gathering(file: string, reason: string, cause?: unknown): Error {
  return internal(
    `error gathering device information while adding custom device "${file}": ${reason}`,
    { cause },
  );
}

function statOf(file: string): Stats {
  try {
    return statSync(file);
  } catch (error) {
    throw gathering(file, "no such file or directory", error);
  }
}

function blockStatOf(file: string): Stats {
  try {
    return statSync(file);
  } catch (error) {
    throw internal(`stat ${file}: no such file or directory`, { cause: error });
  }
}

function granted(file: string, target: string, stats: Stats, access: string): GrantedDevice {
  if (!stats.isCharacterDevice() && !stats.isBlockDevice())
    throw gathering(file, "not a device node");
  return {
    device: {
      path: target,
      type: stats.isBlockDevice() ? "b" : "c",
      ...numbersOf(stats),
      fileMode: stats.mode & 0o777,
      uid: stats.uid,
      gid: stats.gid,
    },
    access,
  };
}

function walk(folder: string, target: (file: string) => string, access: string): GrantedDevice[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const file = path.join(folder, entry.name);
    if (entry.isDirectory())
      return skippedFolders.has(entry.name) ? [] : walk(file, target, access);
    if (!entry.isCharacterDevice() && !entry.isBlockDevice()) return [];
    return [granted(file, target(file), lstatSync(file), access)];
  });
}

/** glibc's encoding of dev_t. */
function numbersOf(stats: Stats): { major: number; minor: number } {
  const device = BigInt(stats.rdev);
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xfffff000n);
  const minor = (device & 0xffn) | ((device >> 12n) & 0xffffff00n);
  return { major: Number(major), minor: Number(minor) };
}
