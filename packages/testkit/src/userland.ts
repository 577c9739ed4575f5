/** Real userlands: what Debian's mmdebstrap makes. */
import { existsSync } from "node:fs";
import { mkdir, rename } from "node:fs/promises";
import path from "node:path";
import { debianCacheDir, machineMirror } from "./debian.ts";
import { runTool } from "./foreign-tools.ts";
import { mustRun } from "./run.ts";

/** The essential packages alone, or (`minbase`) apt and the certificate authorities with them. */
export type UserlandVariant = "essential" | "minbase";

/** Makes one once per machine; returns the tar. */
export async function makeUserland(variant: UserlandVariant = "essential"): Promise<string> {
  const suffix = variant === "essential" ? "" : `-${variant}`;
  const file = path.join(debianCacheDir, `userland${suffix}.tar`);
  if (existsSync(file)) return file;
  await mkdir(debianCacheDir, { recursive: true });
  const scratch = path.join(debianCacheDir, `.userland-${String(process.pid)}.tar`);
  const codename = await machineCodename();
  const source = `deb ${await machineMirror()} ${codename} main`;
  const more = variant === "minbase" ? ["--include=ca-certificates"] : [];
  const how = ["--quiet", `--variant=${variant}`, "--mode=root", ...more];
  await runTool("mmdebstrap", [...how, codename, scratch, source], { timeoutMs: 600_000 });
  await rename(scratch, file);
  return file;
}

async function machineCodename(): Promise<string> {
  const release = await mustRun(["sh", "-c", '. /etc/os-release; echo "$VERSION_CODENAME"']);
  return release.stdout.trim();
}
