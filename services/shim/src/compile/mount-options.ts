/** Mount options as words, to the flags of mount(2). */

/** MS_* of linux/mount.h. */
export const ms = {
  rdonly: 1n,
  nosuid: 2n,
  nodev: 4n,
  noexec: 8n,
  synchronous: 16n,
  mandlock: 64n,
  dirsync: 128n,
  nosymfollow: 256n,
  noatime: 1024n,
  nodiratime: 2048n,
  bind: 4096n,
  rec: 16384n,
  silent: 32768n,
  unbindable: 1n << 17n,
  private: 1n << 18n,
  slave: 1n << 19n,
  shared: 1n << 20n,
  relatime: 1n << 21n,
  iversion: 1n << 23n,
  strictatime: 1n << 24n,
  lazytime: 1n << 25n,
} as const;

const setting: Readonly<Record<string, bigint>> = {
  ro: ms.rdonly,
  nosuid: ms.nosuid,
  nodev: ms.nodev,
  noexec: ms.noexec,
  sync: ms.synchronous,
  mand: ms.mandlock,
  dirsync: ms.dirsync,
  nosymfollow: ms.nosymfollow,
  noatime: ms.noatime,
  nodiratime: ms.nodiratime,
  bind: ms.bind,
  rbind: ms.bind | ms.rec,
  silent: ms.silent,
  relatime: ms.relatime,
  iversion: ms.iversion,
  strictatime: ms.strictatime,
  lazytime: ms.lazytime,
  defaults: 0n,
};

const clearing: Readonly<Record<string, bigint>> = {
  rw: ms.rdonly,
  suid: ms.nosuid,
  dev: ms.nodev,
  exec: ms.noexec,
  async: ms.synchronous,
  nomand: ms.mandlock,
  symfollow: ms.nosymfollow,
  atime: ms.noatime,
  diratime: ms.nodiratime,
  loud: ms.silent,
  norelatime: ms.relatime,
  noiversion: ms.iversion,
  nostrictatime: ms.strictatime,
  nolazytime: ms.lazytime,
};

const propagating: Readonly<Record<string, bigint>> = {
  private: ms.private,
  rprivate: ms.private | ms.rec,
  slave: ms.slave,
  rslave: ms.slave | ms.rec,
  shared: ms.shared,
  rshared: ms.shared | ms.rec,
  unbindable: ms.unbindable,
  runbindable: ms.unbindable | ms.rec,
};

/** Attributes that runtime-spec has with an `r` before them, too: for all mounts below. */
const recursive =
  /^r(rw|nosuid|suid|nodev|dev|noexec|exec|nodiratime|diratime|relatime|norelatime|noatime|atime|strictatime|nostrictatime|nosymfollow|symfollow)$/;

/** Options of ours, for what the runtime-spec has no words for. */
export const mountExtensions = {
  /** Read-only recursively where the kernel can, else only the mount itself. */
  readonlyIfPossible: "x-gantry.rro-if-possible",
  /** What is mounted lies at this path below the source, resolved inside it. */
  subpath: (path: string) => `x-gantry.subpath=${path}`,
} as const;

/** What a list of options says. */
export interface ParsedMountOptions {
  readonly flags: bigint;
  readonly clearFlags: bigint;
  readonly propagation: bigint;
  readonly recursiveReadonly: boolean;
  readonly recursiveReadonlyIfPossible: boolean;
  readonly recursiveFlags: bigint;
  readonly recursiveClearFlags: bigint;
  readonly tmpcopyup: boolean;
  readonly subpath: string;
  /** What is left for the file system, comma-separated. */
  readonly data: string;
}

const subpathPrefix = mountExtensions.subpath("");

/** Later options overrule earlier ones. */
export function parseMountOptions(options: readonly string[] = []): ParsedMountOptions {
  const result = {
    flags: 0n,
    clearFlags: 0n,
    propagation: 0n,
    recursiveReadonly: false,
    recursiveReadonlyIfPossible: false,
    recursiveFlags: 0n,
    recursiveClearFlags: 0n,
    tmpcopyup: false,
    subpath: "",
  };
  const data: string[] = [];
  for (const option of options) {
    const set = setting[option];
    const clear = clearing[option];
    const propagation = propagating[option];
    if (set !== undefined) {
      result.flags |= set;
      result.clearFlags &= ~set;
    } else if (clear !== undefined) {
      result.flags &= ~clear;
      result.clearFlags |= clear;
    } else if (propagation !== undefined) result.propagation = propagation;
    else if (option === "rro") result.recursiveReadonly = true;
    else if (option === mountExtensions.readonlyIfPossible)
      result.recursiveReadonlyIfPossible = true;
    else if (option === "tmpcopyup") result.tmpcopyup = true;
    else if (option.startsWith(subpathPrefix)) result.subpath = option.slice(subpathPrefix.length);
    else if (recursive.test(option)) setRecursive(result, option.slice(1));
    else data.push(option);
  }
  return { ...result, data: data.join(",") };
}

function setRecursive(
  result: { recursiveFlags: bigint; recursiveClearFlags: bigint },
  option: string,
): void {
  const set = setting[option] ?? 0n;
  const clear = clearing[option] ?? 0n;
  result.recursiveFlags = (result.recursiveFlags & ~clear) | set;
  result.recursiveClearFlags = (result.recursiveClearFlags & ~set) | clear;
}

/** Flags of linux.rootfsPropagation; 0 leaves the default (private). */
export function rootfsPropagation(word: string | undefined): bigint {
  return word === undefined ? 0n : (propagating[word] ?? 0n);
}
