/** The first file system of the virtual machine: busybox, a few kernel modules, and a script that mounts the rest. */
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { debianProgram } from "@gantry/testkit/debian";
import { mustRun } from "@gantry/testkit/run";
import { root as checkout } from "../repository.ts";
import type { GuestKernel } from "./guest-kernel.ts";

/** What must be there before the modules on the shared root can be read. */
const neededModules = [
  "virtio_pci",
  "virtio_blk",
  "virtiofs",
  "overlay",
  // Of the disk, which has quotas.
  "quota_v2",
  "ext4",
];

/**
 * Makes the archive in `folder` and returns its path.
 * @param command what runs once everything is mounted; its exit code is shown on the second serial line
 */
export async function makeInitramfs(
  folder: string,
  kernel: GuestKernel,
  command: string,
): Promise<string> {
  const root = path.join(folder, "initramfs");
  for (const name of ["bin", "dev", "proc", "sys", "host", "new", "lib/modules", "upper"])
    mkdirSync(path.join(root, name), { recursive: true });
  copyFileSync(
    await debianProgram("busybox-static", "/bin/busybox"),
    path.join(root, "bin/busybox"),
  );
  symlinkSync("busybox", path.join(root, "bin/sh"));
  copyModules(root, kernel);
  const init = path.join(root, "init");
  writeFileSync(init, initScript(kernel, command));
  chmodSync(init, 0o755);
  const archive = path.join(folder, "initramfs.cpio");
  await mustRun(["sh", "-c", 'find . | busybox cpio -o -H newc >"$0" 2>/dev/null', archive], {
    cwd: root,
  });
  return archive;
}

/** Modules with what they depend on, and an index of just these. */
function copyModules(root: string, { modules, version }: GuestKernel): void {
  const index = new Map(
    readFileSync(path.join(modules, version, "modules.dep"), "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map((line): [string, string[]] => {
        const [file = "", needs = ""] = line.split(":");
        return [file, needs.split(" ").filter((each) => each !== "")];
      }),
  );
  const builtIn = readFileSync(path.join(modules, version, "modules.builtin"), "utf8");
  const lines: string[] = [];
  for (const name of neededModules) {
    const file = [...index.keys()].find((each) => moduleName(each) === name.replaceAll("-", "_"));
    if (file === undefined) {
      if (builtIn.includes(`/${name}.ko`)) continue;
      throw new Error(`kernel ${version} has no module ${name}`);
    }
    // Dependencies are listed nearest first: the last one has to be loaded first.
    for (const each of [...(index.get(file) ?? []).toReversed(), file]) {
      const target = path.join(root, "lib/modules", path.basename(each));
      copyFileSync(path.join(modules, version, each), target);
      const line = `/bin/busybox insmod /lib/modules/${path.basename(each)}`;
      if (!lines.includes(line)) lines.push(line);
    }
  }
  writeFileSync(path.join(root, "lib/modules/load"), `${lines.join("\n")}\n`);
}

const moduleName = (file: string): string =>
  path
    .basename(file)
    .replace(/\.ko(\.\w+)?$/, "")
    .replaceAll("-", "_");

/** Shows what the disk at /tmp hides; read-only. */
const showAgain = (folder: string): string =>
  `$b mkdir -p /new${folder}; $b mount -o bind /host${folder} /new${folder}`;

/** The machine's own files read-only below a tmpfs; /tmp and the engine's data on a disk. */
function initScript({ modules }: GuestKernel, command: string): string {
  const lines = [
    "#!/bin/sh",
    "b=/bin/busybox",
    "$b mount -t proc proc /proc; $b mount -t sysfs sysfs /sys; $b mount -t devtmpfs dev /dev",
    ". /lib/modules/load",
    "$b mount -t virtiofs -o ro host /host || exec $b poweroff -f",
    "$b mount -t tmpfs -o size=1g,mode=755 tmpfs /upper; $b mkdir /upper/u /upper/w",
    "$b mount -t overlay -o lowerdir=/host,upperdir=/upper/u,workdir=/upper/w overlay /new || exec $b poweroff -f",
    "for d in proc sys dev; do $b mkdir -p /new/$d; $b mount --move /$d /new/$d; done",
    "$b mount -t tmpfs -o mode=755 tmpfs /new/run",
    "$b mount -t ext4 /new/dev/vda /new/tmp || exec $b poweroff -f",
    "$b chmod 1777 /new/tmp",
    ...(checkout.startsWith("/tmp/") ? [showAgain(checkout)] : []),
    `$b mkdir -p /new/lib/modules; $b mount -o bind /host${modules} /new/lib/modules`,
    // The kernel asks for modules under this name.
    "[ -e /new/sbin/modprobe ] || { $b cp /bin/busybox /new/sbin/busybox-modprobe; $b ln -s busybox-modprobe /new/sbin/modprobe; }",
    "$b mkdir -p /new/dev/shm /new/dev/pts /new/dev/mqueue",
    "$b mount -t devpts devpts /new/dev/pts; $b mount -t tmpfs -o mode=1777 tmpfs /new/dev/shm",
    "$b mount -t mqueue mqueue /new/dev/mqueue",
    "$b mount -t cgroup2 cgroup2 /new/sys/fs/cgroup",
    "$b mount -t securityfs securityfs /new/sys/kernel/security",
    "$b hostname guest; $b ip link set lo up",
    `echo '#!/bin/sh' > /new/run/first; echo '${command.replaceAll("'", `'\\''`)}' >> /new/run/first`,
    "echo 'code=$?; echo \"EXIT $code\" > /dev/ttyS1; sync; echo o > /proc/sysrq-trigger; sleep 60' >> /new/run/first",
    "exec $b switch_root /new /bin/sh /run/first",
  ];
  return `${lines.join("\n")}\n`;
}
