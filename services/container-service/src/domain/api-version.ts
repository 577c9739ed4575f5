/** Docker API versions of callers: `1.44`, or empty for the newest. */

/** Whether a caller's version is below `major.minor`. Malformed ones count as the newest. */
export function isBelow(version: string, major: number, minor: number): boolean {
  const [, ownMajor, ownMinor] = /^(\d+)\.(\d+)$/.exec(version) ?? [];
  if (ownMajor === undefined || ownMinor === undefined) return false;
  const difference = Number(ownMajor) - major;
  return difference < 0 || (difference === 0 && Number(ownMinor) < minor);
}
