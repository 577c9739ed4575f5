/** docker-compose of Debian, unpacked: 2.26 as a plugin of the stock CLI, and 1.29, the last one in Python. */
import { existsSync } from "node:fs";
import { mkdir, symlink } from "node:fs/promises";
import path from "node:path";
import { unpackDebianPackage } from "./debian.ts";
import { unpackDebianTree } from "./debian-tree.ts";

/** How to start a docker-compose. */
export interface ComposeProgram {
  /** Before compose's own arguments. */
  readonly command: readonly string[];
  /** Variables beside the client's usual ones. */
  readonly env: Readonly<Record<string, string>>;
}

/**
 * docker-compose as `docker compose`.
 * @param configDir a DOCKER_CONFIG of its own
 * @param suite Debian's, whose version it is: 2.26 in Debian 13
 */
export async function composePlugin(configDir: string, suite = "trixie"): Promise<ComposeProgram> {
  const root = await unpackDebianPackage("docker-compose", suite);
  const plugins = path.join(configDir, "cli-plugins");
  await mkdir(plugins, { recursive: true });
  const link = path.join(plugins, "docker-compose");
  const program = ["usr/libexec/docker/cli-plugins", "usr/lib/docker/cli-plugins"]
    .map((folder) => path.join(root, folder, "docker-compose"))
    .find(existsSync);
  if (program === undefined) throw new Error(`no plugin in ${root}`);
  if (!existsSync(link)) await symlink(program, link);
  return { command: ["docker", "compose"], env: { DOCKER_CONFIG: configDir } };
}

/** docker-compose 1.29 (Debian 12), with the Python and the libraries that it was packaged with. */
export async function composePython(): Promise<ComposeProgram> {
  const root = await unpackDebianTree(["docker-compose"]);
  return {
    command: [path.join(root, "usr/bin/python3"), path.join(root, "usr/bin/docker-compose")],
    env: {
      PYTHONHOME: path.join(root, "usr"),
      PYTHONPATH: path.join(root, "usr/lib/python3/dist-packages"),
      PYTHONDONTWRITEBYTECODE: "1",
      COMPOSE_HTTP_TIMEOUT: "120",
    },
  };
}
