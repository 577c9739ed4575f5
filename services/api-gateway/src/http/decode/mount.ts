/** Docker's Mount → Mount. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { invalidArgument } from "@gantry/errors";
import type { MountSchema } from "@gantry/proto/container";
import { opened } from "../encode/version-gates.ts";
import type { Fields } from "./fields.ts";
import { given } from "./init.ts";

/** Decodes a mount in long form. Throws invalid_argument for what the version doesn't have. */
export function decodeMount(fields: Fields, version: number): MessageInitShape<typeof MountSchema> {
  const type = fields.text("Type");
  if (type === "image" && !opened("imageMounts", version)) {
    throw invalidArgument('Mount type "Image" needs API v1.48 or newer');
  }
  const image = fields.object("ImageOptions");
  const readOnly = fields.flag("ReadOnly");
  return given({
    type,
    source: fields.text("Source"),
    target: fields.text("Target"),
    readOnly,
    consistency: fields.text("Consistency"),
    bindOptions: bindOptions(fields.object("BindOptions"), version, readOnly),
    volumeOptions: volumeOptions(fields.object("VolumeOptions"), version),
    tmpfsOptions: tmpfsOptions(fields.object("TmpfsOptions")),
    imageOptions: image === undefined ? undefined : { subpath: image.text("Subpath") },
  });
}

function bindOptions(fields: Fields | undefined, version: number, readOnly: boolean) {
  if (fields === undefined) return undefined;
  // Below 1.44 a read-only bind was never recursive.
  const old = !opened("recursiveReadOnly", version);
  if (old && fields.flag("ReadOnlyForceRecursive")) {
    throw invalidArgument("BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer");
  }
  return {
    propagation: fields.text("Propagation"),
    nonRecursive: opened("bindNonRecursive", version) && fields.flag("NonRecursive"),
    createMountpoint: opened("createMountpoint", version) && fields.flag("CreateMountpoint"),
    readOnlyNonRecursive: old ? readOnly : fields.flag("ReadOnlyNonRecursive"),
    readOnlyForceRecursive: !old && fields.flag("ReadOnlyForceRecursive"),
  };
}

function volumeOptions(fields: Fields | undefined, version: number) {
  if (fields === undefined) return undefined;
  const driver = fields.object("DriverConfig");
  const subpath = fields.text("Subpath");
  if (subpath !== "" && !opened("volumeSubpath", version)) {
    throw invalidArgument("VolumeOptions.Subpath needs API v1.45 or newer");
  }
  return {
    noCopy: fields.flag("NoCopy"),
    labels: fields.textMap("Labels") ?? {},
    driverGiven: driver !== undefined,
    driverName: driver?.text("Name") ?? "",
    driverOptions: driver?.textMap("Options") ?? {},
    subpath,
  };
}

function tmpfsOptions(fields: Fields | undefined) {
  if (fields === undefined) return undefined;
  return {
    sizeBytes: fields.integer("SizeBytes"),
    mode: Number(fields.unsigned("Mode", 32)),
    options: (fields.list("Options") ?? []).map((each) => {
      if (Array.isArray(each) && each.every((word) => typeof word === "string")) {
        return { values: each };
      }
      throw invalidArgument("invalid JSON: TmpfsOptions.Options: expected arrays of strings");
    }),
  };
}
