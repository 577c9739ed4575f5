/** chmod's two notations. */

const bits: Readonly<Record<string, number>> = { r: 4, w: 2, x: 1 };
const shifts: Readonly<Record<string, number>> = { u: 6, g: 3, o: 0 };

/** Whether a change is the mode itself. */
export function isModeNumber(change: string): boolean {
  return /^[0-7]+$/.test(change);
}

/** The mode after a change as `0755` or `u=rwX,go=rX`, whose form has been checked. */
export function changedMode(mode: number, change: string, isDirectory: boolean): number {
  if (isModeNumber(change)) return Number.parseInt(change, 8);
  let result = mode;
  for (const clause of change.split(",")) {
    const [, who = "", rest = ""] = /^([ugoa]*)(.*)$/.exec(clause) ?? [];
    const classes = who === "" || who.includes("a") ? ["u", "g", "o"] : [...who];
    for (const [, operator = "", word = ""] of rest.matchAll(/([-+=])([ugo]|[rwxXst]*)/g)) {
      const permissions = /[ugo]/.test(word) ? permissionsOf(result, word) : word;
      result = applied(result, { classes, operator, permissions, isDirectory });
    }
  }
  return result;
}

/** What a class has now. */
function permissionsOf(mode: number, of: string): string {
  const own = (mode >> (shifts[of] ?? 0)) & 7;
  return Object.keys(bits)
    .filter((permission) => (own & (bits[permission] ?? 0)) !== 0)
    .join("");
}

interface Clause {
  readonly classes: readonly string[];
  readonly operator: string;
  readonly permissions: string;
  readonly isDirectory: boolean;
}

function applied(mode: number, { classes, operator, permissions, isDirectory }: Clause): number {
  let set = 0;
  let mask = 0;
  for (const each of classes) {
    const shift = shifts[each] ?? 0;
    mask |= 7 << shift;
    for (const permission of permissions) {
      const executable = isDirectory || (mode & 0o111) !== 0;
      if (permission === "X") set |= executable ? 1 << shift : 0;
      else set |= (bits[permission] ?? 0) << shift;
    }
    if (permissions.includes("s") && each === "u") set |= 0o4000;
    if (permissions.includes("s") && each === "g") set |= 0o2000;
  }
  if (permissions.includes("t")) set |= 0o1000;
  if (operator === "+") return mode | set;
  if (operator === "-") return mode & ~set;
  return (mode & ~mask) | set;
}
