/**
 * A Debian machine whose first process is systemd, as a privileged container of a test engine, with the
 * engine installed in it by the words of deploy/README.md.
 */
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { loadDebian } from "@gantry/testkit/base-images";
import { makeBusyboxArchive } from "@gantry/testkit/busybox";
import { mustRun } from "@gantry/testkit/run";
import { repository, type TestEngine } from "@gantry/testkit/test-engine";
import { untilPasses } from "@gantry/testkit/until-passes";

const name = "machine";
const installed = "/usr/lib/gantry";

/** Masked is what writes into the one kernel of all: its variables, its formats of programs. */
const dockerfile = `FROM debian:bookworm-slim
RUN apt-get update && apt-get install --yes --no-install-recommends systemd systemd-sysv dbus \\
  ca-certificates curl git iproute2 libatomic1 libisal2 nats-server nftables
RUN systemctl disable nats-server.service && systemctl mask systemd-sysctl.service \\
  systemd-binfmt.service proc-sys-fs-binfmt_misc.automount systemd-modules-load.service \\
  systemd-remount-fs.service
STOPSIGNAL SIGRTMIN+3
CMD ["/sbin/init"]
`;

/** Hierarchies that systemd mounts when they are missing, and that would be in the kernel from then on. */
const withheld = ["net_cls,net_prio", "perf_event", "hugetlb", "rdma", "misc"];

/** What is copied below /usr/lib/gantry, and from where. */
const files = [
  [process.execPath, "bin/node"],
  [path.join(repository, "dist"), "dist"],
  [path.join(repository, "native/build"), "native/build"],
  [path.join(repository, "deploy"), "deploy"],
  [path.join(repository, "docs"), "docs"],
] as const;

/** What an engine has on a machine beside images, volumes and the files that say where NATS is. */
const leftovers = `
for exe in /proc/[0-9]*/exe; do readlink "$exe"; done | grep -E 'gantry|nats-server'
grep -E ' /(run|var/lib)/gantry/' /proc/mounts
find /sys/fs/cgroup -type d -name 'gantry*' ! -name gantry.slice
find /run/gantry -name '*.sock'
ip -o link | grep gtry
nft list tables | grep gantry
systemctl list-units --all --plain --no-legend 'gantry*' | grep -vE 'inactive|gantry.slice'
true`;

/** A running machine. It ends with its engine. */
export class SystemdMachine {
  private readonly engine: TestEngine;

  private constructor(engine: TestEngine) {
    this.engine = engine;
  }

  /** Makes the image, boots it and installs the engine; nothing of that is started. */
  static async boot(engine: TestEngine): Promise<SystemdMachine> {
    const folder = path.join(engine.root, name);
    await mkdir(folder, { recursive: true });
    await loadDebian(engine, folder);
    await writeFile(path.join(folder, "Dockerfile"), dockerfile);
    const env = { ...engine.clientEnv(), DOCKER_BUILDKIT: "0" };
    await engine.docker(["build", "-q", "-t", name, folder], { env, timeoutMs: 900_000 });
    const hidden = withheld.map((each) => `--tmpfs=/sys/fs/cgroup/${each}`);
    await engine.docker([
      ...["run", "--detach", "--name", name, "--hostname", name, "--privileged"],
      ...["--cgroupns=private", "--env=container=docker", "--volume=/var/lib/gantry"],
      ...["--tmpfs=/run", "--tmpfs=/run/lock", ...hidden, name],
    ]);
    const machine = new SystemdMachine(engine);
    // Its bus is there a moment after the container's start.
    await untilPasses(
      async () => {
        await machine.run("systemctl", "is-system-running", "--wait");
      },
      { timeoutMs: 60_000 },
    );
    await machine.install(folder);
    return machine;
  }

  /** Runs a program in the machine. */
  async run(...argv: string[]): Promise<string> {
    return await this.engine.docker(["exec", name, ...argv]);
  }

  /** Runs a shell's script in the machine. */
  async shell(script: string): Promise<string> {
    return await this.run("sh", "-c", script);
  }

  /** Runs the stock CLI in the machine, against the machine's engine. */
  async docker(...args: string[]): Promise<string> {
    const host = "DOCKER_HOST=unix:///run/gantry/docker.sock";
    return await this.engine.docker(["exec", "--env", host, name, "docker", ...args]);
  }

  /** PID of a service's process; 0: none. */
  async pidOf(service: string): Promise<string> {
    return await this.run("systemctl", "show", "--property=MainPID", "--value", service);
  }

  /** What the engine has on the machine, a line each; empty when it is stopped. */
  async leftovers(): Promise<string> {
    return await this.shell(leftovers);
  }

  /** What the services and systemd said of them last. */
  async journal(): Promise<string> {
    return await this.run("journalctl", "--no-pager", "--lines=60", "--unit=gantry*");
  }

  private async install(folder: string): Promise<void> {
    await this.run("mkdir", "-p", `${installed}/bin`, `${installed}/native`, "/etc/gantry");
    const busybox = path.join(folder, "busybox.tar");
    await writeFile(busybox, await makeBusyboxArchive());
    for (const [from, to] of files) await this.copy(from, `${installed}/${to}`);
    await this.copy(path.join(repository, "deploy/config/daemon.json"), "/etc/gantry/daemon.json");
    await this.copy((await mustRun(["which", "docker"])).stdout.trim(), "/usr/local/bin/docker");
    await this.copy(busybox, "/root/busybox.tar");
    await this.shell(`cp ${installed}/deploy/systemd/gantry* /etc/systemd/system/`);
    await this.run("systemctl", "daemon-reload");
  }

  private async copy(from: string, to: string): Promise<void> {
    await this.engine.docker(["cp", "--quiet", "--follow-link", from, `${name}:${to}`]);
  }
}
