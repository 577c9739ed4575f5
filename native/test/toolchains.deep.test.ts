/**
 * What is built elsewhere: with the compilers and libraries of later Debians, and for arm64. The machine's own build
 * everything else.
 */
import { mkdirSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { unpackDebianTree } from "@gantry/testkit/debian-tree";
import { mustRun } from "@gantry/testkit/run";

const native = path.dirname(import.meta.dirname);
const modules = path.join(path.dirname(native), "node_modules");

const packages = [
  ...["coreutils", "dash", "make"],
  ...["libbz2-dev", "libisal-dev", "liblzma-dev", "libseccomp-dev", "libssl-dev", "libzstd-dev"],
  "zlib1g-dev",
];

/** Runs in a mount namespace: $0 is Debian's tree, $1 native/, $2 node_modules, $3 the script. */
const inTree = `
mount -t tmpfs none "$0/tmp"
cp -a "$1/Makefile" "$1/src" "$2"/node-linux-*/include/node "$2/node-addon-api" "$0/tmp"
exec chroot "$0" /usr/bin/dash -ec "cd /tmp; $3"
`;

const flags = "-std=c++20 -Wall -Wextra -Werror -Isrc";
const addonFlags =
  "-fexceptions -DNAPI_VERSION=9 -DNAPI_CPP_EXCEPTIONS -DNODE_ADDON_API_DISABLE_DEPRECATED -D_GNU_SOURCE -Inode -Inode-addon-api";

/** Compiles files, each by itself. */
const each = (files: string, command: string): string =>
  `for file in ${files}; do ${command} $file; done`;

async function build(tree: string, script: string): Promise<void> {
  mkdirSync(path.join(tree, "tmp"), { recursive: true });
  await mustRun(["unshare", "--mount", "sh", "-ec", inTree, tree, native, modules, script], {
    timeoutMs: 15 * 60_000,
  });
}

describe("the native code", () => {
  for (const release of ["trixie", "sid"]) {
    it(`is built on Debian's ${release}`, async () => {
      const tree = await unpackDebianTree(["g++", ...packages], release);
      const addon = each("src/addon.cc src/addon/*.cc", `g++ ${flags} ${addonFlags} -fsyntax-only`);
      await build(tree, `make SHELL=/usr/bin/dash all; ${addon}`);
    });
  }

  it("compiles for arm64", async () => {
    const tree = await unpackDebianTree(["g++-aarch64-linux-gnu", ...packages]);
    // The libraries' headers are the same for both, and stand behind the compiler's own.
    const headers = "-idirafter /usr/include -idirafter /usr/include/x86_64-linux-gnu";
    const compile = `aarch64-linux-gnu-g++ ${flags} ${headers} -O2 -c -o object.o`;
    await build(
      tree,
      [
        each(
          "src/kernel/*.cc src/unpack/*.cc src/relay/*.cc src/init/*.cc src/hello/*.cc",
          compile,
        ),
        each("src/shim/*.cc", `${compile} -fno-exceptions -fno-rtti`),
        each("src/addon.cc src/addon/*.cc", `${compile} ${addonFlags}`),
      ].join("; "),
    );
  });
});
