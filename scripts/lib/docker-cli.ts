/** The stock docker CLI: the one on PATH, else Debian's, unpacked into a cache folder. */
import { existsSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import path from "node:path";
import { unpackDebianPackage } from "@gantry/testkit/debian";
import { programLinksDir } from "@gantry/testkit/run";

/** Debian 13 has a package of the client alone; in Debian 12 it is in the one with the daemon. */
const packages = ["docker-cli", "docker.io"];

/** Makes an unpacked program findable for tests, which run with a PATH of their own. */
function link(program: string): string {
  const target = path.join(programLinksDir, path.basename(program));
  mkdirSync(programLinksDir, { recursive: true });
  rmSync(target, { force: true });
  symlinkSync(program, target);
  return target;
}

/** Path of the CLI. */
export async function findDockerCli(): Promise<string> {
  const folders = (process.env["PATH"] ?? "").split(":").filter((folder) => folder !== "");
  const onPath = folders
    .map((folder) => path.join(folder, "docker"))
    .find((file) => existsSync(file));
  if (onPath !== undefined) return onPath;
  const failures: unknown[] = [];
  for (const name of packages) {
    try {
      const program = path.join(await unpackDebianPackage(name), "usr/bin/docker");
      if (existsSync(program)) return link(program);
    } catch (error) {
      failures.push(error);
    }
  }
  throw new AggregateError(failures, "no docker CLI on PATH, and none from Debian");
}
