/** Which platforms' programs this machine executes: its own, and those that the kernel hands to an emulator. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { hostPlatform, type Platform, processorFlags, processorLevel } from "@gantry/oci";

/** Where emulators are registered (kernel: Documentation/admin-guide/binfmt-misc.rst). */
const registrations = "/proc/sys/fs/binfmt_misc";

/** The machine's own first, the others in BuildKit's order. */
export function readPlatforms(): Platform[] {
  const own = hostPlatform();
  const flags = processorFlags(readFileSync("/proc/cpuinfo", "utf8"));
  const level = own.architecture === "amd64" ? processorLevel(flags) : 1;
  const variants = Array.from({ length: level - 1 }, (_, index) => `v${String(index + 2)}`);
  const others = new Set(emulated());
  return [
    own,
    ...variants.map((variant) => ({ ...own, variant })),
    ...shownOrder
      .filter((architecture) => architecture !== own.architecture && others.has(architecture))
      .flatMap(withVariants),
  ];
}

const shownOrder = "amd64 arm64 riscv64 ppc64 ppc64le s390x 386 mips64le mips64 loong64 arm".split(
  " ",
);

function withVariants(architecture: string): Platform[] {
  const of = (variant: string): Platform => ({ os: "linux", architecture, variant });
  return architecture === "arm" ? [of("v7"), of("v6")] : [{ os: "linux", architecture }];
}

function emulated(): string[] {
  const names = existsSync(registrations) ? readdirSync(registrations) : [];
  return names
    .filter((name) => name !== "register" && name !== "status")
    .flatMap((name) => {
      const found = emulatedBy(readFileSync(path.join(registrations, name), "utf8"));
      return found === undefined ? [] : [found];
    });
}

/**
 * The architecture that a registration is for. One whose interpreter the kernel looks for at every start has none in
 * a container: only those that the kernel holds open (`F`) count. @param registration its file's text
 */
export function emulatedBy(registration: string): string | undefined {
  const [state, ...lines] = registration.split("\n");
  const value = (key: string): string =>
    lines.find((line) => line.startsWith(`${key} `))?.slice(key.length + 1) ?? "";
  if (state !== "enabled" || !value("flags:").includes("F") || value("offset") !== "0")
    return undefined;
  const magic = Buffer.from(value("magic"), "hex");
  return magic.length < 20 || magic.readUInt32BE(0) !== elfMagic ? undefined : machineOf(magic);
}

const elfMagic = 0x7f454c46;

/** `e_machine` of an ELF header (elf(5)). */
function machineOf(header: Buffer): string | undefined {
  const is64 = header[4] === 2;
  const isLittle = header[5] === 1;
  const machine = isLittle ? header.readUInt16LE(18) : header.readUInt16BE(18);
  switch (machine) {
    case 3:
      return "386";
    case 8:
      return is64 ? (isLittle ? "mips64le" : "mips64") : undefined;
    case 21:
      return isLittle ? "ppc64le" : "ppc64";
    case 22:
      return is64 ? "s390x" : undefined;
    case 40:
      return isLittle ? "arm" : undefined;
    case 62:
      return "amd64";
    case 183:
      return isLittle ? "arm64" : undefined;
    case 243:
      return is64 ? "riscv64" : undefined;
    case 258:
      return is64 ? "loong64" : undefined;
    default:
      return undefined;
  }
}
