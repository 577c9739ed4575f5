/** What is built on later Debians, with their compilers and libraries; the machine's own builds everything else. */
import { mkdirSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { unpackDebianTree } from "@gantry/testkit/debian-tree";
import { mustRun } from "@gantry/testkit/run";

const native = path.dirname(import.meta.dirname);
const modules = path.join(path.dirname(native), "node_modules");

const packages = [
  ...["coreutils", "dash", "g++", "make"],
  ...["libbz2-dev", "libisal-dev", "liblzma-dev", "libseccomp-dev", "libssl-dev", "libzstd-dev"],
  "zlib1g-dev",
];

/** Runs in a mount namespace: $0 is Debian's tree, $1 native/, $2 node_modules. */
const build = `
mount -t tmpfs none "$0/tmp"
cp -a "$1/Makefile" "$1/src" "$2"/node-linux-*/include/node "$2/node-addon-api" "$0/tmp"
exec chroot "$0" /usr/bin/dash -ec '
  cd /tmp
  make SHELL=/usr/bin/dash all
  for file in src/addon.cc src/addon/*.cc; do
    g++ -std=c++20 -Wall -Wextra -Werror -fexceptions -fsyntax-only -DNAPI_VERSION=9 -DNAPI_CPP_EXCEPTIONS \\
      -DNODE_ADDON_API_DISABLE_DEPRECATED -D_GNU_SOURCE -Isrc -Inode -Inode-addon-api "$file"
  done'
`;

describe("the native code", () => {
  for (const release of ["trixie", "sid"]) {
    it(`compiles on Debian's ${release}`, async () => {
      const tree = await unpackDebianTree(packages, release);
      mkdirSync(path.join(tree, "tmp"), { recursive: true });
      await mustRun(["unshare", "--mount", "sh", "-ec", build, tree, native, modules], {
        timeoutMs: 15 * 60_000,
      });
    });
  }
});
