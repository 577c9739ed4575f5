/**
 * Programs from Debian packages, unpacked into a cache folder and never installed, so that no
 * package script starts a daemon and nothing of the machine changes.
 *
 *   <cache>/<suite>/apt/        lists and package cache of suites other than the machine's
 *   <cache>/<suite>/<package>/  the unpacked package; exists only when complete
 */

import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { mustRun } from "./run.ts";

/** Folder that holds the unpacked packages. */
export const debianCacheDir = "/var/cache/gantry/debian";

/**
 * Unpacks a package (without its dependencies) and returns the folder that stands for `/`.
 * @param suite `installed`: the machine's own; else a release's name, for another architecture with it: `sid/arm64`
 */
export async function unpackDebianPackage(name: string, suite = "installed"): Promise<string> {
  const target = path.join(debianCacheDir, suite, name);
  if (existsSync(target)) return target;
  const scratch = path.join(debianCacheDir, suite, `.${name}.${String(process.pid)}`);
  await mkdir(scratch, { recursive: true });
  const options = [...(await suiteOptions(suite)), "-o", "APT::Sandbox::User=root"];
  await mustRun(["apt-get", "-qq", ...options, "download", name], {
    cwd: scratch,
    timeoutMs: 300_000,
  });
  const archive = (await readdir(scratch)).find((file) => file.endsWith(".deb"));
  if (archive === undefined) throw new Error(`apt-get download ${name} left no package`);
  await mustRun(["dpkg-deb", "-x", archive, "root"], { cwd: scratch });
  await rename(path.join(scratch, "root"), target).catch((error: unknown) => {
    // Another process was quicker; its copy is the same.
    if (!existsSync(target)) throw error;
  });
  await rm(scratch, { recursive: true, force: true });
  return target;
}

/** Path of a program of a Debian package: the installed one, else the unpacked one. */
export async function debianProgram(
  name: string,
  programPath: string,
  suite = "installed",
): Promise<string> {
  if (suite === "installed" && existsSync(programPath)) return programPath;
  const root = await unpackDebianPackage(name, suite);
  // Since Debian 13 packages have nothing in /bin itself.
  const found = [programPath, path.join("usr", programPath)].find((file) =>
    existsSync(path.join(root, file)),
  );
  if (found === undefined) throw new Error(`the package ${name} has no ${programPath}`);
  return path.join(root, found);
}

/** Names of the packages that a simulated `apt-get install` says it would install. */
export function installedBy(simulated: string): string[] {
  return simulated
    .split("\n")
    .filter((line) => line.startsWith("Inst "))
    .map((line) => line.split(" ")[1] ?? "");
}

/** Options of apt for a suite, from the mirror that the machine itself is set to. */
export async function suiteOptions(suite: string): Promise<string[]> {
  // What is installed here is no reason to take a version that the mirror need not have.
  const status = ["-o", "Dir::State::status=/dev/null"];
  if (suite === "installed") return status;
  const apt = path.join(debianCacheDir, suite, "apt");
  const [release = "", architecture] = suite.split("/");
  const settings = [
    ["Dir::Etc::sourcelist", path.join(apt, "sources.list")],
    ["Dir::Etc::sourceparts", "/dev/null"],
    ["Dir::State::Lists", path.join(apt, "lists")],
    ["Dir::Cache", path.join(apt, "cache")],
    ["APT::Sandbox::User", "root"],
    ...(architecture === undefined
      ? []
      : [
          ["APT::Architecture", architecture],
          ["APT::Architectures", architecture],
        ]),
  ].flatMap(([key, value]) => ["-o", `${String(key)}=${String(value)}`]);
  const options = [...status, ...settings];
  if (!existsSync(path.join(apt, "complete"))) {
    await mkdir(path.join(apt, "lists/partial"), { recursive: true });
    await mkdir(path.join(apt, "cache/archives/partial"), { recursive: true });
    await writeFile(
      path.join(apt, "sources.list"),
      `deb ${await machineMirror()} ${release} main\n`,
    );
    await mustRun(["apt-get", "-qq", ...options, "update"], {
      timeoutMs: 300_000,
    });
    await writeFile(path.join(apt, "complete"), "");
  }
  return options;
}

/** A release as a suite: what is made of its packages does not depend on the machine's own release. */
export async function suiteOf(release: string): Promise<string> {
  return (await machineRelease()) === release ? "installed" : release;
}

/** The name of the machine's own release, for example `bookworm`. */
export async function machineRelease(): Promise<string> {
  const release = await readFile("/etc/os-release", "utf8");
  return /^VERSION_CODENAME=(.*)$/m.exec(release)?.[1] ?? "stable";
}

/** The Debian mirror that the machine is set to. */
export async function machineMirror(): Promise<string> {
  const targets = await mustRun([
    "apt-get",
    "indextargets",
    "--format",
    "$(SITE) $(ORIGIN) $(COMPONENT) $(RELEASE)",
    "Identifier: Packages",
  ]);
  for (const line of targets.stdout.split("\n")) {
    const [site, origin, component, release] = line.split(" ");
    if (
      origin === "Debian" &&
      component === "main" &&
      !(release ?? "").includes("-") &&
      site !== undefined
    )
      return site;
  }
  throw new Error("no Debian mirror among the machine's package sources");
}
