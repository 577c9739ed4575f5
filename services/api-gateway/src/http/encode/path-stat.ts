/** PathStat → the header of docker cp. */
import { constants } from "node:fs";
import type { PathStat } from "@gantry/proto/container";
import { toJson } from "./json.ts";
import { rfc3339 } from "./time.ts";

/** Base64 of the JSON, standard alphabet. */
export function encodePathStat(stat: PathStat): string {
  const json = toJson({
    name: stat.name,
    size: stat.sizeBytes,
    mode: goFileMode(stat.mode),
    mtime: rfc3339(stat.mtimeNano),
    linkTarget: stat.linkTarget,
  });
  return Buffer.from(json).toString("base64");
}

/** Type bits of Go's FileMode by st_mode's. */
const goTypes: ReadonlyMap<number, number> = new Map([
  [constants.S_IFDIR, 2 ** 31],
  [constants.S_IFLNK, 2 ** 27],
  [constants.S_IFBLK, 2 ** 26],
  [constants.S_IFCHR, 2 ** 26 + 2 ** 21],
  [constants.S_IFIFO, 2 ** 25],
  [constants.S_IFSOCK, 2 ** 24],
]);

/** st_mode as Go writes it: permissions below, one bit per type and per special bit above. */
export function goFileMode(mode: number): number {
  const type = goTypes.get(mode & constants.S_IFMT) ?? 0;
  const setuid = (mode & 0o4000) === 0 ? 0 : 2 ** 23;
  const setgid = (mode & 0o2000) === 0 ? 0 : 2 ** 22;
  const sticky = (mode & 0o1000) === 0 ? 0 : 2 ** 20;
  return type + setuid + setgid + sticky + (mode & 0o777);
}
