/**
 * Stand-ins for the images that Dockerfiles begin with, for machines that reach package mirrors but no
 * registry of images: Debian by mmdebstrap, and the machine's own Node over it. What the machine needs to
 * reach its mirrors (certificate authorities, npm's settings) is in them.
 */
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { mustRun } from "./run.ts";
import type { TestEngine } from "./test-engine.ts";
import { makeUserland } from "./userland.ts";

/** Authorities that the machine's owner added. */
const ownAuthorities = "/usr/local/share/ca-certificates";

/** Makes `debian:bookworm-slim`. @param folder for files of ours */
export async function loadDebian(engine: TestEngine, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await engine.docker(["import", await makeUserland("minbase"), "debian-bare"]);
  const own = existsSync(ownAuthorities) ? [ownAuthorities] : [];
  const packed = path.join(folder, "authorities.tar");
  await mustRun(["tar", "-cf", packed, "--files-from=/dev/null", ...own]);
  const dockerfile = "FROM debian-bare\nADD authorities.tar /\nRUN update-ca-certificates\n";
  await build(engine, folder, dockerfile, "debian:bookworm-slim");
}

/** Makes `node:22-bookworm` over it: whatever Node (20 or later) the machine has, with its npm. */
export async function loadNode(engine: TestEngine, folder: string): Promise<void> {
  const packed = path.join(folder, "node.tar");
  const { stdout: prefix } = await mustRun(["npm", "prefix", "--global"]);
  const root = prefix.trim().replace(/^\//, "");
  const settings = `${root}/etc/npmrc`;
  await mustRun([
    ...["tar", "-C", "/", "-cf", packed, `${root}/bin/node`, `${root}/bin/npm`],
    ...[`${root}/lib/node_modules/npm`, ...(existsSync(`/${settings}`) ? [settings] : [])],
  ]);
  const install = "apt-get update && apt-get install --yes --no-install-recommends libatomic1";
  const dockerfile = `FROM debian:bookworm-slim\nRUN ${install}\nADD node.tar /\n`;
  await build(engine, folder, dockerfile, "node:22-bookworm");
}

async function build(
  engine: TestEngine,
  folder: string,
  dockerfile: string,
  tag: string,
): Promise<void> {
  await writeFile(path.join(folder, "Dockerfile"), dockerfile);
  const env = { ...engine.clientEnv(), DOCKER_BUILDKIT: "0" };
  await engine.docker(["build", "-q", "-t", tag, folder], { env, timeoutMs: 600_000 });
}
