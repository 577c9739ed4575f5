/** Plugins of the stock CLI from Debian packages, seen by those only who ask for them. */
import { mkdir, symlink } from "node:fs/promises";
import path from "node:path";
import { unpackDebianPackage } from "./debian.ts";

const pluginFolder = "usr/libexec/docker/cli-plugins";

/** Debian packages that hold plugins, and the suite whose version is tested with. */
const plugins = {
  buildx: { package: "docker-buildx", program: "docker-buildx" },
  compose: { package: "docker-compose", program: "docker-compose" },
} as const;

/** Makes a folder for DOCKER_CONFIG with these plugins in it. @param suite Debian's, whose versions they are */
export async function makeDockerConfig(
  folder: string,
  names: readonly (keyof typeof plugins)[],
  suite = "trixie",
): Promise<string> {
  const target = path.join(folder, "cli-plugins");
  await mkdir(target, { recursive: true });
  for (const name of names) {
    const { package: debianPackage, program } = plugins[name];
    const root = await unpackDebianPackage(debianPackage, suite);
    await symlink(path.join(root, pluginFolder, program), path.join(target, program));
  }
  return folder;
}
