/** Go's os.FileMode, which clients send, and the kernel's st_mode. */

/** Kinds of entries that can be sent. */
export type EntryKind =
  | "file"
  | "directory"
  | "symlink"
  | "fifo"
  | "character device"
  | "block device"
  | "socket"
  | "other";

const go = {
  directory: 2 ** 31,
  symlink: 1 << 27,
  device: 1 << 26,
  fifo: 1 << 25,
  socket: 1 << 24,
  setuid: 1 << 23,
  setgid: 1 << 22,
  characterDevice: 1 << 21,
  sticky: 1 << 20,
  irregular: 1 << 19,
} as const;

const has = (mode: number, bit: number): boolean => Math.floor(mode / bit) % 2 === 1;

/** What an entry is. */
export function kindOf(mode: number): EntryKind {
  if (has(mode, go.directory)) return "directory";
  if (has(mode, go.symlink)) return "symlink";
  if (has(mode, go.device))
    return has(mode, go.characterDevice) ? "character device" : "block device";
  if (has(mode, go.fifo)) return "fifo";
  if (has(mode, go.socket)) return "socket";
  if (has(mode, go.irregular)) return "other";
  return "file";
}

/** The bits that chmod takes. */
export function permissionsOf(mode: number): number {
  return (
    (mode & 0o777) |
    (has(mode, go.setuid) ? 0o4000 : 0) |
    (has(mode, go.setgid) ? 0o2000 : 0) |
    (has(mode, go.sticky) ? 0o1000 : 0)
  );
}

const typeBits: ReadonlyMap<number, number> = new Map([
  [0o040000, go.directory],
  [0o120000, go.symlink],
  [0o060000, go.device],
  [0o020000, go.device + go.characterDevice],
  [0o010000, go.fifo],
  [0o140000, go.socket],
]);

/** Go's form of an st_mode. */
export function goModeOf(stMode: number): number {
  return (
    (stMode & 0o777) +
    (typeBits.get(stMode & 0o170000) ?? 0) +
    ((stMode & 0o4000) === 0 ? 0 : go.setuid) +
    ((stMode & 0o2000) === 0 ? 0 : go.setgid) +
    ((stMode & 0o1000) === 0 ? 0 : go.sticky)
  );
}
