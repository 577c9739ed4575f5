/** Names and driver options of volumes. Texts are Docker's. */
import { invalidArgument } from "@gantry/errors";

/** Whether a volume may have this name. No file of ours in its parent folder, and no `lost+found`, has such a one. */
export function isVolumeName(name: string): boolean {
  return /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/.test(name);
}

/** Errors: invalid_argument. */
export function checkVolumeName(name: string): void {
  if (isVolumeName(name)) return;
  if (Buffer.byteLength(name) === 1) {
    throw invalidArgument(
      `create ${name}: volume name is too short, names should be at least two alphanumeric characters`,
    );
  }
  throw invalidArgument(
    `create ${name}: "${name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
  );
}

const knownOptions: readonly string[] = ["type", "o", "device", "size"];

/** Errors: invalid_argument. */
export function checkDriverOptions(name: string, options: Readonly<Record<string, string>>): void {
  const given = Object.keys(options);
  for (const key of given) {
    if (!knownOptions.includes(key))
      throw invalidArgument(`create ${name}: invalid option: "${key}"`);
  }
  const { size } = options;
  if (size !== undefined && size !== "0") {
    if (!/^\d+(\.\d+)?\s?[kmgtp]?i?b?$/i.test(size)) {
      throw invalidArgument(`create ${name}: invalid size: '${size}'`);
    }
    throw invalidArgument(`create ${name}: quota size requested but no quota support`);
  }
  // Being there is enough: an empty text is one.
  for (const [key, others] of Object.entries(needed)) {
    const missing = given.includes(key) && others.find((other) => !given.includes(other));
    if (missing) throw invalidArgument(`create ${name}: missing required option: "${missing}"`);
  }
}

const needed: Readonly<Record<string, readonly string[]>> = {
  device: ["type"],
  type: ["device"],
  o: ["device", "type"],
};

/** MS_* of linux/mount.h. */
const flagWords: Readonly<Record<string, bigint>> = {
  ro: 1n,
  nosuid: 2n,
  nodev: 4n,
  noexec: 8n,
  sync: 16n,
  dirsync: 128n,
  noatime: 1024n,
  nodiratime: 2048n,
  bind: 4096n,
  rbind: 4096n | 16_384n,
  relatime: 1n << 21n,
  strictatime: 1n << 24n,
  rw: 0n,
  suid: 0n,
  dev: 0n,
  exec: 0n,
  async: 0n,
  defaults: 0n,
};

/** What to mount at a volume's directory. */
export interface VolumeMount {
  readonly source: string;
  /** Empty for a bind. */
  readonly type: string;
  /** MS_* flags. */
  readonly flags: bigint;
  /** Options for the file system. */
  readonly data: string;
}

/** From `type`, `device` and `o`; undefined for a volume that is a plain directory. */
export function volumeMount(options: Readonly<Record<string, string>>): VolumeMount | undefined {
  const { type = "", device = "", o = "" } = options;
  if (type === "" && device === "") return undefined;
  let flags = 0n;
  const data: string[] = [];
  for (const word of o.split(",").filter((text) => text !== "")) {
    const flag = flagWords[word];
    if (flag === undefined) data.push(word);
    else flags |= flag;
  }
  const isBind = (flags & 4096n) !== 0n;
  return { source: device, type: isBind ? "" : type, flags, data: data.join(",") };
}
