/** AppArmor: whether the machine uses it, and the profile of containers that name none. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { internal } from "@gantry/errors";

/** The name that Docker's users know; a profile of this name that is loaded already is left as it is. */
export const defaultProfileName = "docker-default";

const loadedProfiles = "/sys/kernel/security/apparmor/profiles";
const parsers = ["/sbin/apparmor_parser", "/usr/sbin/apparmor_parser"];

/** As Docker has it: the kernel uses AppArmor, and there is the program that loads profiles. */
export function hasAppArmor(): boolean {
  return (
    read("/sys/module/apparmor/parameters/enabled").trim() === "Y" &&
    existsSync(loadedProfiles) &&
    parsers.some((program) => existsSync(program))
  );
}

/** Loads the default profile unless it is there. Errors: internal, with what the program said. */
export function ensureDefaultProfile(): void {
  const known = read(loadedProfiles)
    .split("\n")
    .some((line) => line.startsWith(`${defaultProfileName} (`));
  const parser = parsers.find((program) => existsSync(program));
  if (known || parser === undefined) return;
  const loaded = spawnSync(parser, ["-Kr"], { input: profileText(), env: {}, timeout: 60_000 });
  if (loaded.status === 0) return;
  throw internal(
    `AppArmor enabled on system but the ${defaultProfileName} profile could not be loaded: ${loaded.stderr.toString().trim()}`,
    { cause: loaded.error },
  );
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    // What the kernel does not have has no file.
    return "";
  }
}

/** Capabilities, seccomp and mounts decide first; this is for what is left of the kernel's side of /proc and /sys. */
function profileText(): string {
  const settings =
    "{abi,debug,dev,fs,user,vm}/**,kernel/{core_*,modprobe,hotplug,panic*,yama/**,kptr_*}";
  const rules = [
    "file,",
    "network,",
    "capability,",
    "umount,",
    "signal (receive) peer=unconfined,",
    `signal (send,receive) peer=${defaultProfileName},`,
    `ptrace (trace,read,tracedby,readby) peer=${defaultProfileName},`,
    "deny mount,",
    "deny network alg,",
    "deny /proc/{acpi,fs,irq,bus,scsi}/** wklx,",
    `deny /proc/sys/{${settings}} wklx,`,
    "deny /proc/{kcore,keys,sysrq-trigger,timer_list,sched_debug} rwklx,",
    "deny /sys/{block,bus,class,dev,devices,hypervisor,kernel,module,power}/** wklx,",
    "deny /sys/firmware/** rwklx,",
    "deny /sys/devices/virtual/powercap/** rwklx,",
    "deny /sys/kernel/security/** rwklx,",
  ];
  const flags = "flags=(attach_disconnected,mediate_deleted)";
  return [
    `profile ${defaultProfileName} ${flags} {`,
    ...rules.map((rule) => `  ${rule}`),
    "}",
    "",
  ].join("\n");
}
