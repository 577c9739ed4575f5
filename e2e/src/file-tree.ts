/** Everything that a file tree says about its files, for comparing two of them. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { lstat, readdir, readlink } from "node:fs/promises";
import path from "node:path";
import { pipeline } from "node:stream/promises";
import { loadKernel } from "@gantry/native";

/**
 * One text per path: type and mode, owner, device numbers, modification time, size and content (or
 * target), extended attributes, and the first path of the same inode. Other file systems that are
 * mounted in it, and the names in `without`, are left out.
 */
export async function describeFiles(
  root: string,
  without: readonly string[] = [],
): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const inodes = new Map<string, string>();
  // With the slash: a process' root is a link.
  const { dev } = await lstat(`${root}/`, { bigint: true });
  const visit = async (name: string): Promise<void> => {
    const file = path.join(root, name);
    const info = await lstat(file, { bigint: true });
    if (without.includes(name) || (info.isDirectory() && info.dev !== dev)) return;
    const inode = `${String(info.dev)}:${String(info.ino)}`;
    const first = info.isDirectory() ? name : (inodes.get(inode) ?? name);
    inodes.set(inode, first);
    const content = info.isFile()
      ? `${String(info.size)} ${await sha256(file)}`
      : info.isSymbolicLink()
        ? await readlink(file)
        : "";
    const parts = [info.mode.toString(8), info.uid, info.gid, info.rdev, info.mtimeNs];
    found.set(name, [...parts, content, attributes(file), first].join(" "));
    if (!info.isDirectory()) return;
    for (const child of (await readdir(file)).sort()) await visit(path.join(name, child));
  };
  await visit("/");
  return found;
}

async function sha256(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  return hash.digest("hex");
}

function attributes(file: string): string {
  const kernel = loadKernel();
  return kernel
    .listXattrs(file)
    .filter((name) => !name.startsWith("trusted.overlay."))
    .sort()
    .map((name) => `${name}=${kernel.getXattr(file, name)?.toString("hex") ?? ""}`)
    .join(",");
}
