/** What the kernel says of a mount's source. */
import { readFile, realpath } from "node:fs/promises";
import type { SourceMount } from "../../ports/volume-host.ts";

/** mountinfo's fields: the place, and the words between the options and the hyphen. */
const mountLine = /^\d+ \d+ \S+ \S+ (\S+) \S+ (.*?) ?- /;

/** The mount that a path lies in. */
export async function sourceMount(source: string): Promise<SourceMount> {
  const file = await realpath(source);
  let found: SourceMount = { place: "/", isShared: false, isSlave: false };
  for (const line of (await readFile("/proc/self/mountinfo", "utf8")).split("\n")) {
    const [, place, words = ""] = mountLine.exec(line) ?? [];
    if (place === undefined) continue;
    const mount = unescapePath(place);
    // Of several on one place the last one is seen.
    if (mount.length < found.place.length || !isWithin(file, mount)) continue;
    found = {
      place: mount,
      isShared: words.includes("shared:"),
      isSlave: words.includes("master:"),
    };
  }
  return found;
}

function isWithin(file: string, folder: string): boolean {
  return folder === "/" || file === folder || file.startsWith(`${folder}/`);
}

/** mountinfo writes spaces and the like as `\040`. */
export function unescapePath(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, code: string) =>
    String.fromCharCode(Number.parseInt(code, 8)),
  );
}
