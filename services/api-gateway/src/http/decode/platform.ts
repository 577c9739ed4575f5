/** Platforms in the two forms that the API knows. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { invalidArgument } from "@gantry/errors";
import type { PlatformSchema } from "@gantry/proto/image";
import { Fields } from "./fields.ts";
import { parseJson } from "./json-value.ts";

/** Message initialiser. */
export type PlatformInit = MessageInitShape<typeof PlatformSchema>;

/** An OCI platform as JSON; undefined for an empty text. */
export function parsePlatformJson(text: string): PlatformInit | undefined {
  if (text === "") return undefined;
  const value = parseJson(text);
  if (!(value instanceof Map))
    throw invalidArgument("failed to parse platform: expected an object");
  const fields = new Fields(value);
  const platform = {
    architecture: fields.text("architecture"),
    os: fields.text("os"),
    osVersion: fields.text("os.version"),
    osFeatures: fields.texts("os.features") ?? [],
    variant: fields.text("variant"),
  };
  if (platform.os === "" || platform.architecture === "") {
    throw invalidArgument("both OS and Architecture must be provided");
  }
  return platform;
}

const architectures: Readonly<Record<string, { architecture: string; variant?: string }>> = {
  aarch64: { architecture: "arm64" },
  armhf: { architecture: "arm", variant: "v7" },
  armel: { architecture: "arm", variant: "v6" },
  x86_64: { architecture: "amd64" },
  "x86-64": { architecture: "amd64" },
  i386: { architecture: "386" },
};

const knownSystems = new Set(["linux", "windows", "darwin", "freebsd", "netbsd", "openbsd"]);

/** `os[/arch[/variant]]`, or an architecture alone; undefined for an empty text. */
export function parsePlatformText(text: string): PlatformInit | undefined {
  if (text === "") return undefined;
  const parts = text.toLowerCase().split("/");
  if (parts.length > 3 || !parts.every((part) => /^[a-z0-9_.-]+$/.test(part))) {
    throw invalidArgument(`"${text}" is an invalid OS component: invalid platform`);
  }
  const [first = "", second = "", variant = ""] = parts;
  if (parts.length === 1 && !knownSystems.has(first)) return normal("linux", first, "");
  return normal(first, second, variant);
}

function normal(os: string, architecture: string, variant: string): PlatformInit {
  const known = architectures[architecture];
  return {
    os,
    architecture: known?.architecture ?? architecture,
    variant: variant === "" ? (known?.variant ?? "") : variant,
  };
}
