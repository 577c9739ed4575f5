/** Bundles for tests: a busybox root file system and a config.json as Docker would write it. */

import { randomBytes } from "node:crypto";
import { copyFile, mkdir, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { RuntimeSpec } from "@gantry/oci/runtime-spec";
import type { LaunchRequestSchema } from "@gantry/proto/shim";
import { debianProgram } from "@gantry/testkit/debian";
import {
  defaultCapabilities,
  defaultMaskedPaths,
  defaultMounts,
  defaultReadonlyPaths,
  defaultSeccompProfile,
  ociVersion,
} from "../src/index.ts";

export type Launch = Exclude<MessageInitShape<typeof LaunchRequestSchema>, { $typeName: string }>;
type Linux = NonNullable<RuntimeSpec["linux"]>;
type Process = NonNullable<RuntimeSpec["process"]>;

const applets =
  "sh cat echo ls id sleep true false env head grep stat touch mkdir kill ps ip hostname mount dd unshare mknod".split(
    " ",
  );

/** The lower directory that all bundles of a test file share. */
export async function makeLower(folder: string): Promise<string> {
  const lower = path.join(folder, "lower");
  for (const name of ["bin", "etc", "dev", "proc", "sys", "root", "tmp"]) {
    await mkdir(path.join(lower, name), { recursive: true });
  }
  await copyFile(
    await debianProgram("busybox-static", "/bin/busybox"),
    path.join(lower, "bin/busybox"),
  );
  for (const applet of applets) await symlink("busybox", path.join(lower, "bin", applet));
  await writeFile(
    path.join(lower, "etc/passwd"),
    "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n",
  );
  await writeFile(path.join(lower, "etc/group"), "root:x:0:\nwheel:x:10:root\nusers:x:1000:\n");
  return lower;
}

/** What differs from a plain container. */
export interface BundleChanges {
  readonly process?: Partial<Process>;
  readonly linux?: Partial<Linux>;
  readonly spec?: Partial<RuntimeSpec>;
  readonly launch?: Launch;
}

export interface Bundle {
  readonly id: string;
  readonly folder: string;
  readonly logFile: string;
  readonly request: Launch;
}

export async function makeBundle(
  folder: string,
  lower: string,
  args: string[],
  changes: BundleChanges = {},
): Promise<Bundle> {
  const id = randomBytes(32).toString("hex");
  const bundle = path.join(folder, id);
  for (const name of ["root", "upper", "work"])
    await mkdir(path.join(bundle, name), { recursive: true });
  await writeFile(path.join(bundle, "config.json"), JSON.stringify(specOf(args, changes)));
  const logFile = path.join(bundle, "json.log");
  return {
    id,
    folder: bundle,
    logFile,
    request: {
      id,
      bundlePath: bundle,
      rootfs: {
        mountpoint: path.join(bundle, "root"),
        lowerDirs: [lower],
        upperDir: path.join(bundle, "upper"),
        workDir: path.join(bundle, "work"),
      },
      log: { driver: "json-file", path: logFile },
      exitRecordPath: path.join(bundle, "exit.json"),
      ...changes.launch,
    },
  };
}

export const privateNamespaces: NonNullable<Linux["namespaces"]> = [
  { type: "mount" },
  { type: "pid" },
  { type: "uts" },
  { type: "ipc" },
  { type: "network" },
];

function specOf(args: string[], changes: BundleChanges): RuntimeSpec {
  const caps = defaultCapabilities;
  return {
    ociVersion,
    hostname: "box",
    root: { path: "root" },
    mounts: defaultMounts(),
    process: {
      args,
      cwd: "/",
      env: ["PATH=/bin"],
      capabilities: { bounding: caps, effective: caps, permitted: caps },
      ...changes.process,
    },
    linux: {
      namespaces: privateNamespaces,
      maskedPaths: defaultMaskedPaths,
      readonlyPaths: defaultReadonlyPaths,
      seccomp: defaultSeccompProfile(caps),
      resources: { devices: [{ allow: false, access: "rwm" }] },
      ...changes.linux,
    },
    ...changes.spec,
  };
}
