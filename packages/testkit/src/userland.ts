/** A real userland: what Debian's mmdebstrap makes of the essential packages. */
import { existsSync } from "node:fs";
import { mkdir, rename } from "node:fs/promises";
import path from "node:path";
import { debianCacheDir, machineMirror } from "./debian.ts";
import { runTool } from "./foreign-tools.ts";
import { mustRun } from "./run.ts";

/** Makes it once per machine; returns the tar. */
export async function makeUserland(): Promise<string> {
  const file = path.join(debianCacheDir, "userland.tar");
  if (existsSync(file)) return file;
  await mkdir(debianCacheDir, { recursive: true });
  const scratch = path.join(debianCacheDir, `.userland-${String(process.pid)}.tar`);
  const codename = await machineCodename();
  const source = `deb ${await machineMirror()} ${codename} main`;
  const how = ["--quiet", "--variant=essential", "--mode=root"];
  await runTool("mmdebstrap", [...how, codename, scratch, source], { timeoutMs: 600_000 });
  await rename(scratch, file);
  return file;
}

async function machineCodename(): Promise<string> {
  const release = await mustRun(["sh", "-c", '. /etc/os-release; echo "$VERSION_CODENAME"']);
  return release.stdout.trim();
}
