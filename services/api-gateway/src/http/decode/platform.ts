/** Platforms in the two forms that the API knows. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { invalidArgument } from "@gantry/errors";
import { parsePlatform } from "@gantry/oci";
import type { PlatformSchema } from "@gantry/proto/image";
import { Fields } from "./fields.ts";
import { goKind, parseJson } from "./json-value.ts";

/** Message initialiser. */
export type PlatformInit = MessageInitShape<typeof PlatformSchema>;

/** An OCI platform as JSON; undefined for an empty text. */
export function parsePlatformJson(text: string): PlatformInit | undefined {
  if (text === "") return undefined;
  const value = parseJson(text, { problem: "failed to parse platform" });
  if (!(value instanceof Map)) {
    throw invalidArgument(
      `failed to parse platform: json: cannot unmarshal ${goKind(value)} into Go value of type v1.Platform`,
    );
  }
  const fields = new Fields(value);
  const platform = {
    architecture: textOf(fields, "architecture"),
    os: textOf(fields, "os"),
    osVersion: textOf(fields, "os.version"),
    osFeatures: fields.texts("os.features") ?? [],
    variant: textOf(fields, "variant"),
  };
  if (platform.os === "" || platform.architecture === "") {
    throw invalidArgument("both OS and Architecture must be provided");
  }
  return platform;
}

function textOf(fields: Fields, name: string): string {
  const value = fields.raw(name) ?? "";
  if (typeof value === "string") return value;
  throw invalidArgument(
    `failed to parse platform: json: cannot unmarshal ${goKind(value)} into Go struct field Platform.${name} of type string`,
  );
}

/** `os[/arch[/variant]]`, or an architecture alone; undefined for an empty text. */
export function parsePlatformText(text: string): PlatformInit | undefined {
  if (text === "") return undefined;
  const { os, architecture, variant = "", osVersion } = parsePlatform(text);
  return { os, architecture, variant, ...(osVersion !== undefined && { osVersion }) };
}
