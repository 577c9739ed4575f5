/** Options of a tmpfs: Docker's defaults, overruled by what is asked for. */
import { type EngineError, invalidArgument } from "@gantry/errors";

/** Each word and the one it overrules. */
const flags: Readonly<Record<string, string>> = {
  ro: "rw",
  rw: "ro",
  nosuid: "suid",
  suid: "nosuid",
  nodev: "dev",
  dev: "nodev",
  noexec: "exec",
  exec: "noexec",
  sync: "async",
  async: "sync",
  noatime: "atime",
  atime: "noatime",
  nodiratime: "diratime",
  diratime: "nodiratime",
  relatime: "norelatime",
  norelatime: "relatime",
  strictatime: "nostrictatime",
  nostrictatime: "strictatime",
  dirsync: "",
  remount: "",
  ...Object.fromEntries(propagationWords().map((word) => [word, ""])),
};
/** Words for what is so anyway. */
const nothings: readonly string[] = ["defaults", "mand", "nomand"];

function propagationWords(): string[] {
  return ["private", "shared", "slave", "unbindable"].flatMap((word) => [word, `r${word}`]);
}

const keys: readonly string[] = ["mode", "uid", "gid", "size", "nr_inodes", "nr_blocks", "mpol"];
const defaults: readonly string[] = ["noexec", "nosuid", "nodev"];

/** Errors: of the kind given, for a word that is not known. */
export function tmpfsOptions(
  asked: readonly string[],
  refuse: (message: string) => EngineError = invalidArgument,
): string[] {
  const words = new Map<string, string>(defaults.map((word) => [word, word]));
  for (const word of asked) {
    if (nothings.includes(word)) continue;
    const key = word.replace(/=.*$/s, "");
    const opposite = flags[word];
    if (opposite === undefined && !(keys.includes(key) && word.includes("="))) {
      throw refuse(`invalid tmpfs option ${JSON.stringify(key)}`);
    }
    if (opposite !== undefined) words.delete(opposite);
    words.set(key, word);
  }
  return [...words.values()];
}
