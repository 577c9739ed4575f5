/** Debian's cloud kernel for the virtual machine: unpacked from its package, never installed. */
import { existsSync, globSync, readdirSync } from "node:fs";
import path from "node:path";
import {
  debianCacheDir,
  debianProgram,
  suiteOf,
  suiteOptions,
  unpackDebianPackage,
} from "@gantry/testkit/debian";
import { mustRun } from "@gantry/testkit/run";

/** A kernel to boot. */
export interface GuestKernel {
  /** Its compressed image. */
  readonly image: string;
  /** `6.1.0-1-cloud-amd64`. */
  readonly version: string;
  /** The folder that stands for /lib/modules, with its index made. */
  readonly modules: string;
}

/** The newest cloud kernel of Debian 12, whatever the machine's own release is. */
export async function fetchGuestKernel(): Promise<GuestKernel> {
  const suite = await suiteOf("bookworm");
  const root = await unpackDebianPackage(await packageName(suite), suite);
  const [image] = globSync(path.join(root, "boot/vmlinuz-*"));
  const modules = path.join(root, "lib/modules");
  const [version] = readdirSync(modules);
  if (image === undefined || version === undefined) throw new Error(`${root} holds no kernel`);
  // Made by the package's script, which does not run here.
  if (!existsSync(path.join(modules, version, "modules.dep"))) {
    const busybox = await debianProgram("busybox-static", "/bin/busybox");
    await mustRun([busybox, "depmod", "-b", root, version], { timeoutMs: 300_000 });
  }
  return { image, version, modules };
}

/** The metapackage names the one that holds the kernel. */
async function packageName(suite: string): Promise<string> {
  const options = await suiteOptions(suite);
  const listed = await mustRun(["apt-cache", ...options, "depends", "linux-image-cloud-amd64"]);
  const [, name] = /Depends: (linux-image-\S+)/.exec(listed.stdout) ?? [];
  if (name !== undefined) return name;
  throw new Error(`no cloud kernel in the package lists (cache: ${debianCacheDir})`);
}
