/** Lists of numbers as the kernel writes CPU sets: `0-2,4`. */

/** The numbers of a list, or undefined when it is malformed. Empty text is the empty set. */
export function parseNumberList(text: string): Set<number> | undefined {
  const result = new Set<number>();
  if (text.trim() === "") return result;
  for (const part of text.trim().split(",")) {
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part.trim());
    if (match === null) return undefined;
    const first = Number(match[1]);
    const last = Number(match[2] ?? match[1]);
    if (last < first) return undefined;
    for (let number = first; number <= last; number++) result.add(number);
  }
  return result;
}
