/**
 * Debian packages with all that they depend on, unpacked into one folder: programs that need
 * libraries or an interpreter of their own, and the files of images made by tests. Nothing is
 * configured, so that nothing is started either; but Python's modules are compiled, as they are wherever these
 * packages are installed.
 *
 *   <cache>/<suite>/trees/<hash of the names>/   exists only when complete
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { glob, mkdir, readdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { debianCacheDir, installedBy, suiteOf, suiteOptions } from "./debian.ts";
import { mustRun } from "./run.ts";

/** Folders that are links into /usr since Debian 12. */
const merged = ["bin", "sbin", "lib", "lib64"] as const;

/** Unpacks packages and their dependencies (no recommendations) and returns the folder that stands for `/`. */
export async function unpackDebianTree(
  packages: readonly string[],
  release = "bookworm",
): Promise<string> {
  const suite = await suiteOf(release);
  const trees = path.join(debianCacheDir, suite, "trees");
  const key = createHash("sha256")
    .update([...packages, "(compiled)"].sort().join(" "))
    .digest("hex");
  const target = path.join(trees, key.slice(0, 16));
  if (existsSync(target)) return target;
  const scratch = path.join(trees, `.${key.slice(0, 16)}.${String(process.pid)}`);
  const root = path.join(scratch, "root");
  await mkdir(root, { recursive: true });
  const options = [...(await suiteOptions(suite)), "-o", "APT::Sandbox::User=root"];
  const names = await withDependencies(packages, options, scratch);
  await mustRun(["apt-get", "-qq", ...options, "download", ...names], {
    cwd: scratch,
    timeoutMs: 600_000,
  });
  await makeMergedRoot(root);
  for (const file of await readdir(scratch)) {
    if (file.endsWith(".deb")) await addPackage(path.join(scratch, file), root);
  }
  await compileModules(root);
  await rename(root, target).catch((error: unknown) => {
    // Another process was quicker; its copy is the same.
    if (!existsSync(target)) throw error;
  });
  await rm(scratch, { recursive: true, force: true });
  return target;
}

/** What apt would install on a machine that has nothing. */
async function withDependencies(
  packages: readonly string[],
  options: readonly string[],
  scratch: string,
): Promise<string[]> {
  const status = path.join(scratch, "status");
  await writeFile(status, "");
  const simulated = await mustRun([
    ...["apt-get", "-qq", "--simulate", "--no-install-recommends", ...options],
    ...["-o", `Dir::State::status=${status}`, "install", ...packages],
  ]);
  return installedBy(simulated.stdout);
}

async function makeMergedRoot(root: string): Promise<void> {
  for (const name of merged) {
    await mkdir(path.join(root, "usr", name), { recursive: true });
    await symlink(`usr/${name}`, path.join(root, name));
  }
}

/** Some packages still name /lib: the links of the root stay. */
async function addPackage(archive: string, root: string): Promise<void> {
  const unpack = 'dpkg-deb --fsys-tarfile "$1" | tar -x --keep-directory-symlink -C "$2"';
  await mustRun(["sh", "-ec", unpack, "sh", archive, root]);
}

/** Without bytecode every start of a program in Python compiles what it imports, half a second for a web server. */
async function compileModules(root: string): Promise<void> {
  for await (const interpreter of glob("usr/bin/python3.+([0-9])", { cwd: root })) {
    const modules = path.join("/usr/lib", path.basename(interpreter));
    await mustRun(["chroot", root, `/${interpreter}`, "-m", "compileall", "-q", modules], {
      timeoutMs: 300_000,
    });
  }
}
