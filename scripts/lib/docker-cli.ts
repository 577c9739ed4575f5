/** The stock docker CLI: the one on PATH, else Debian's, unpacked into a cache folder. */
import { existsSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import path from "node:path";
import { unpackDebianPackage } from "@gantry/testkit/debian";
import { mustRun, programLinksDir } from "@gantry/testkit/run";

/** The newest, else what the machine's own release has; in Debian 12 the client is in the package with the daemon. */
const packages = [
  ["docker-cli", "sid"],
  ["docker-cli", "installed"],
  ["docker.io", "installed"],
] as const;

/** The oldest that knows all flags which tests use. */
const oldestTested: Version = [28, 2];

/** Major and minor number. */
type Version = readonly [number, number];

const link = path.join(programLinksDir, "docker");

/** A CLI, and whether who types its name gets it. */
export interface DockerCli {
  readonly program: string;
  readonly isOnPath: boolean;
}

export async function findDockerCli(): Promise<DockerCli> {
  const installed = onPath();
  if (installed !== undefined) return { program: installed, isOnPath: true };
  return { program: await unpackCli(), isOnPath: false };
}

/** Has tests find a CLI, in an environment of their own, that is as new as they expect. */
export async function linkTestedCli(): Promise<void> {
  rmSync(link, { force: true });
  const installed = onPath();
  if (installed !== undefined && isTested(await versionOf(installed))) return;
  const program = await unpackCli();
  mkdirSync(programLinksDir, { recursive: true });
  symlinkSync(program, link);
}

function onPath(): string | undefined {
  const folders = (process.env["PATH"] ?? "").split(":").filter((folder) => folder !== "");
  return folders.map((folder) => path.join(folder, "docker")).find((file) => existsSync(file));
}

function isTested([major, minor]: Version): boolean {
  const [oldestMajor, oldestMinor] = oldestTested;
  return major > oldestMajor || (major === oldestMajor && minor >= oldestMinor);
}

/** `Docker version 28.2.2, build …` as 28 and 2; zeros when it says something else. */
async function versionOf(program: string): Promise<Version> {
  const { stdout } = await mustRun([program, "--version"]);
  const [, major = 0, minor = 0] = /^Docker version (\d+)\.(\d+)/.exec(stdout) ?? [];
  return [Number(major), Number(minor)];
}

async function unpackCli(): Promise<string> {
  const failures: unknown[] = [];
  for (const [name, suite] of packages) {
    try {
      const program = path.join(await unpackDebianPackage(name, suite), "usr/bin/docker");
      if (existsSync(program)) return program;
    } catch (error) {
      failures.push(error);
    }
  }
  throw new AggregateError(failures, "no docker CLI on PATH, and none from Debian");
}
