/** A virtual machine of the machine's own files, without KVM: QEMU's own processor. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { debianProgram } from "@gantry/testkit/debian";
import { eventually } from "@gantry/testkit/eventually";
import { mustRun } from "@gantry/testkit/run";
import { fetchGuestKernel } from "./guest-kernel.ts";
import { makeInitramfs } from "./initramfs.ts";

/** What to run. */
export interface GuestRun {
  /** An empty folder for disk, archive and outputs. */
  readonly folder: string;
  /** Shell command line; the machine's files are where they are here, /tmp is a disk of its own. */
  readonly command: string;
  /** More of the kernel's command line. */
  readonly kernelOptions?: string;
  readonly memoryMb: number;
  readonly diskMb: number;
  /** The machine is switched off after this time. */
  readonly timeoutMs: number;
}

/** What came of it. */
export interface GuestResult {
  /** Exit code of the command; undefined: the machine did not get to its end. */
  readonly code: number | undefined;
  /** What the command wrote to /dev/ttyS1. */
  readonly report: string;
}

/** The machine's files, for the guest to read. */
async function shareFiles(folder: string): Promise<AsyncDisposable & { readonly socket: string }> {
  const socket = path.join(folder, "files.sock");
  const [program, ...args] = await fileDaemon();
  const daemon = spawn(program, [`--socket-path=${socket}`, ...args], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const ended = once(daemon, "close");
  await eventually(() => existsSync(socket) || daemon.exitCode !== null);
  return {
    socket,
    async [Symbol.asyncDispose]() {
      // It ends by itself with the machine that it served.
      if (daemon.exitCode === null) daemon.kill("SIGTERM");
      await ended;
    },
  };
}

/** QEMU's own virtiofsd, or the one that Debian 13 has instead: the same, told in other words. */
async function fileDaemon(): Promise<readonly [string, ...string[]]> {
  const own = "/usr/lib/qemu/virtiofsd";
  if (existsSync(own)) {
    return [own, "-o", "source=/,cache=always,sandbox=chroot,no_posix_lock,xattr,log_level=err"];
  }
  const program = await debianProgram("virtiofsd", "/usr/libexec/virtiofsd");
  return [
    program,
    ...["--shared-dir=/", "--no-announce-submounts", "--cache=always", "--sandbox=chroot"],
    ...["--xattr", "--log-level=error"],
  ];
}

const ownOptions = "console=ttyS0 quiet panic=-1 sysrq_always_enabled mitigations=off nokaslr";

/** Boots, runs the command and switches off. The console is shown on standard output. */
export async function runInGuest(run: GuestRun): Promise<GuestResult> {
  const kernel = await fetchGuestKernel();
  const archive = await makeInitramfs(run.folder, kernel, run.command);
  const disk = path.join(run.folder, "disk.img");
  await mustRun(["truncate", "-s", `${String(run.diskMb)}M`, disk]);
  await mustRun(["mkfs.ext4", "-q", "-O", "quota,project", "-F", disk]);
  const report = path.join(run.folder, "report");
  await using files = await shareFiles(run.folder);
  const args = [
    ...["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", String(run.memoryMb)],
    ...["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"],
    ...["-kernel", kernel.image, "-initrd", archive],
    ...["-append", `${ownOptions} ${run.kernelOptions ?? ""}`],
    ...["-serial", "stdio", "-serial", `file:${report}`],
    ...["-drive", `file=${disk},format=raw,if=virtio,cache=unsafe`],
    ...["-object", `memory-backend-memfd,id=memory,size=${String(run.memoryMb)}M,share=on`],
    ...["-numa", "node,memdev=memory"],
    ...["-chardev", `socket,id=files,path=${files.socket}`],
    ...["-device", "vhost-user-fs-pci,chardev=files,tag=host"],
  ];
  const machine = spawn("qemu-system-x86_64", args, { stdio: ["ignore", "inherit", "inherit"] });
  const timer = setTimeout(() => machine.kill("SIGKILL"), run.timeoutMs);
  await once(machine, "close");
  clearTimeout(timer);
  const text = readFileSync(report, "utf8").replaceAll("\r", "");
  const [, code] = /^EXIT (\d+)$/m.exec(text) ?? [];
  return { code: code === undefined ? undefined : Number(code), report: text };
}
