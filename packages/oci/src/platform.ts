/** Platforms: `os/architecture[/variant]`, normalized and matched as containerd's platforms package does. */
import { invalidArgument } from "@gantry/errors";

/** A platform as descriptors carry it. */
export interface Platform {
  readonly architecture: string;
  readonly os: string;
  readonly variant?: string;
  readonly osVersion?: string;
  readonly osFeatures?: readonly string[];
}

const architectureAliases: Readonly<Record<string, readonly [string, string?]>> = {
  i386: ["386"],
  x86_64: ["amd64"],
  "x86-64": ["amd64"],
  aarch64: ["arm64"],
  armhf: ["arm", "v7"],
  armel: ["arm", "v6"],
};

const knownOs = new Set(
  "aix android darwin dragonfly freebsd illumos ios js linux nacl netbsd openbsd plan9 solaris windows zos wasip1".split(
    " ",
  ),
);

const knownArchitectures = new Set(
  "386 amd64 arm arm64 loong64 mips mipsle mips64 mips64le ppc64 ppc64le riscv64 s390x sparc64 wasm".split(
    " ",
  ),
);

/** Node's names of machines as Go's. */
const machineNames: Readonly<Record<string, string>> = { x64: "amd64", ia32: "386" };

/** The platform of this machine. */
export function hostPlatform(): Platform {
  return normalizePlatform({
    os: "linux",
    architecture: machineNames[process.arch] ?? process.arch,
  });
}

/** The form in which platforms can be compared: aliases resolved, default variants dropped. */
export function normalizePlatform(platform: Platform): Platform {
  const os = platform.os.toLowerCase() === "macos" ? "darwin" : platform.os.toLowerCase();
  const word = platform.architecture.toLowerCase();
  const alias = Object.hasOwn(architectureAliases, word) ? architectureAliases[word] : undefined;
  const architecture = alias?.[0] ?? word;
  const given = platform.variant?.toLowerCase() || alias?.[1];
  const variant = normalVariant(architecture, given);
  const { osVersion, osFeatures } = platform;
  return {
    os,
    architecture,
    ...(variant !== undefined && { variant }),
    ...(osVersion !== undefined && osVersion !== "" && { osVersion }),
    ...(osFeatures !== undefined && osFeatures.length > 0 && { osFeatures }),
  };
}

function normalVariant(architecture: string, variant: string | undefined): string | undefined {
  const prefixed = variant !== undefined && /^\d/.test(variant) ? `v${variant}` : variant;
  switch (architecture) {
    case "arm":
      return prefixed ?? "v7";
    case "arm64":
      return prefixed === "v8" ? undefined : prefixed;
    case "amd64":
      return prefixed === "v1" ? undefined : prefixed;
    case "386":
      return undefined;
    default:
      return prefixed;
  }
}

/** `linux/arm/v7`. */
export function formatPlatform(platform: Platform): string {
  const { os, architecture, variant } = platform;
  return [os || "unknown", architecture, variant]
    .filter((part) => part !== undefined && part !== "")
    .join("/");
}

const partForm = /^[A-Za-z0-9_.-]+$/;
/** An operating system, with its version and features in brackets. */
const osForm = /^([A-Za-z0-9_-]+)(?:\(([A-Za-z0-9_.%-]*)((?:\+[A-Za-z0-9_.%-]+)*)\))?$/;

/**
 * Reads `os/arch/variant`, `os/arch`, `os` or `arch`; an operating system may be `os(version)`. Throws
 * invalid_argument with Docker's words, which show the forms.
 */
export function parsePlatform(text: string): Platform {
  const shown = JSON.stringify(text);
  const parts = text.split("/");
  const [first = "", second, third] = parts;
  const system = osForm.exec(first);
  if (system === null) {
    throw invalidArgument(
      `${JSON.stringify(first)} is an invalid OS component of ${shown}: OSAndVersion specifier component ` +
        `must match ${JSON.stringify(osForm.source)}: invalid argument`,
    );
  }
  const bad = parts.slice(1, 4).find((part) => !partForm.test(part));
  if (bad !== undefined) {
    throw invalidArgument(
      `${JSON.stringify(bad)} is an invalid component of ${shown}: platform specifier component must match ` +
        `${JSON.stringify(partForm.source)}: invalid argument`,
    );
  }
  if (parts.length > 3) {
    throw invalidArgument(`${shown}: cannot parse platform specifier: invalid argument`);
  }
  if (second === undefined) return parseSingle(first);
  const [, os = "", osVersion = ""] = system;
  return normalizePlatform({
    os,
    osVersion,
    architecture: second,
    ...(third !== undefined && { variant: third }),
  });
}

function parseSingle(word: string): Platform {
  const host = hostPlatform();
  if (knownOs.has(word.toLowerCase())) {
    return normalizePlatform({ os: word, architecture: host.architecture });
  }
  const asArchitecture = normalizePlatform({ os: host.os, architecture: word });
  if (knownArchitectures.has(asArchitecture.architecture)) return asArchitecture;
  throw invalidArgument(
    `${JSON.stringify(word)}: unknown operating system or architecture: invalid argument`,
  );
}

/** Whether two platforms are the same, beside versions and features. */
export function samePlatform(one: Platform, other: Platform): boolean {
  const [a, b] = [normalizePlatform(one), normalizePlatform(other)];
  return a.os === b.os && a.architecture === b.architecture && a.variant === b.variant;
}

/**
 * How well `candidate` serves where `wanted` is asked for: 0 is the very same, higher is worse,
 * undefined is not at all. A machine runs older variants of its own architecture.
 */
export function platformDistance(wanted: Platform, candidate: Platform): number | undefined {
  const [want, have] = [normalizePlatform(wanted), normalizePlatform(candidate)];
  if (want.os !== have.os || want.architecture !== have.architecture) return undefined;
  const distance = variantLevel(want) - variantLevel(have);
  if (Number.isNaN(distance)) return want.variant === have.variant ? 0 : undefined;
  return distance < 0 ? undefined : distance;
}

const lowestLevels: Readonly<Record<string, number>> = { amd64: 1, arm64: 8 };

function variantLevel(platform: Platform): number {
  if (platform.variant === undefined) return lowestLevels[platform.architecture] ?? 0;
  return Number(/^v(\d+)$/.exec(platform.variant)?.[1] ?? Number.NaN);
}
