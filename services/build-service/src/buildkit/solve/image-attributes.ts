/** What an exporter's attributes say of the form of an image. */
import { hasKind } from "@gantry/errors";
import { type Platform, parsePlatform } from "@gantry/oci";
import type { Compression } from "../../domain/image-format.ts";
import type { AnnotationPlace, ImageAnnotation } from "../../ports/build.ts";
import { codes, WireFailure } from "../wire/failure.ts";

type Attributes = Readonly<Record<string, string>>;

/** Attributes of the exporters that make images. */
export interface ImageAttributes {
  /** Undefined: it depends on the exporter. */
  readonly oci: boolean | undefined;
  readonly compression: Compression | undefined;
  readonly level: number | undefined;
  readonly force: boolean;
  readonly rewriteTimestamp: boolean;
  readonly annotations: readonly ImageAnnotation[];
  readonly push: boolean;
  /** Under its digest, and no tag. */
  readonly pushByDigest: boolean;
  /** The registry is reached without TLS, or with a certificate of anybody's. */
  readonly insecure: boolean;
  /** Kept as an image of the engine. */
  readonly store: boolean;
  readonly unpack: boolean;
  /** Called by its digest, too: so is every image here. */
  readonly nameCanonical: boolean;
  /** What an image without names is called, before its digest; undefined: it depends on the exporter. */
  readonly danglingPrefix: string | undefined;
  /** Attestations that come only where an image has room for them do. */
  readonly attestationInline: boolean;
  /** Attestations are OCI artifacts. */
  readonly artifacts: boolean;
  /** An archive, in place of files in a folder. */
  readonly tar: boolean;
}

/** Reads them; those that are unknown are passed over. Throws in BuildKit's words. */
export function readImageAttributes(attrs: Attributes): ImageAttributes {
  const flag = (key: string, missing: boolean): boolean => flagOf(attrs, key) ?? missing;
  // Layers that must not be distributed are as their base has them; the value has to be one.
  flag("prefer-nondist-layers", false);
  return {
    oci: flagOf(attrs, "oci-mediatypes"),
    compression: compressionOf(attrs["compression"]),
    level: levelOf(attrs["compression-level"]),
    force: flagOf(attrs, "force-compression", ` ${attrs["force-compression"] ?? ""}`) ?? false,
    rewriteTimestamp: flag("rewrite-timestamp", false),
    annotations: annotationsOf(attrs),
    push: flag("push", false),
    pushByDigest: flag("push-by-digest", false),
    insecure: flag("registry.insecure", false),
    store: flag("store", true),
    unpack: flag("unpack", true),
    nameCanonical: flag("name-canonical", false),
    danglingPrefix: attrs["dangling-name-prefix"],
    attestationInline: flag("attestation-inline", true),
    artifacts: flag("oci-artifact", false),
    tar: flag("tar", true),
  };
}

/** An attribute without a value is on. */
function flagOf(attrs: Attributes, key: string, shown = ""): boolean | undefined {
  const value = attrs[key];
  if (value === undefined) return undefined;
  if (value === "" || /^(1|t|T|TRUE|true|True)$/.test(value)) return true;
  if (/^(0|f|F|FALSE|false|False)$/.test(value)) return false;
  const cause = `strconv.ParseBool: parsing ${JSON.stringify(value)}: invalid syntax`;
  throw refused(`non-bool value${shown} specified for ${key}: ${cause}`);
}

function compressionOf(value: string | undefined): Compression | undefined {
  if (value === undefined || value === "") return undefined;
  if (value === "gzip" || value === "zstd" || value === "uncompressed") return value;
  throw refused(`unsupported compression type ${value}`);
}

function levelOf(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (/^[+-]?\d{1,9}$/.test(value)) return Number(value);
  const cause = `strconv.ParseInt: parsing ${JSON.stringify(value)}: invalid syntax`;
  throw refused(`non-integer value ${value} specified for compression-level: ${cause}`);
}

const places: ReadonlyMap<string, AnnotationPlace> = new Map([
  ["", "manifest"],
  ["manifest", "manifest"],
  ["index", "index"],
  ["manifest-descriptor", "manifest-descriptor"],
  ["index-descriptor", "index-descriptor"],
]);

function annotationsOf(attrs: Attributes): ImageAnnotation[] {
  return Object.entries(attrs).flatMap(([attribute, value]) => {
    const match = /^annotation(?:-([a-z-]+))?(?:\[([A-Za-z0-9_/-]+)\])?\.(\S+)$/.exec(attribute);
    if (match === null) return [];
    const [, type = "", platform, key = ""] = match;
    const place = places.get(type);
    if (place === undefined) throw refused(`unrecognized annotation type ${type}`);
    return [
      { place, platform: platform === undefined ? undefined : platformOf(platform), key, value },
    ];
  });
}

function platformOf(text: string): Platform {
  try {
    return parsePlatform(text);
  } catch (error) {
    if (!hasKind(error, "invalid_argument")) throw error;
    throw refused(`${JSON.stringify(text)}: cannot parse platform specifier: invalid argument`);
  }
}

const refused = (text: string): WireFailure => new WireFailure(codes.unknown, text);
