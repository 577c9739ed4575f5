/** `.dockerignore`: which paths of a context are left out. */

interface Rule {
  readonly exclude: boolean;
  readonly matches: RegExp;
}

/** Decides by the patterns of a `.dockerignore` file. */
export class IgnoreRules {
  private readonly rules: readonly Rule[];

  constructor(text: string) {
    this.rules = text
      .replace(/^\ufeff/, "")
      .split(/\r?\n/)
      .filter((line) => !line.startsWith("#"))
      .map((line) => line.trim())
      .filter((line) => line !== "" && line !== "!")
      .map(toRule)
      .filter((rule) => rule !== undefined);
  }

  /** Whether a path (relative, `/` between segments, no leading `/`) is left out; the last pattern that matches it or a parent decides. */
  ignores(path: string): boolean {
    const segments = path.split("/");
    let ignored = false;
    for (const rule of this.rules) {
      if (rule.exclude === ignored) continue;
      const hit = segments.some((_, index) =>
        rule.matches.test(segments.slice(0, index + 1).join("/")),
      );
      if (hit) ignored = rule.exclude;
    }
    return ignored;
  }

  /** Whether something below an ignored folder may be taken in again, so that the folder must be walked. */
  get hasExceptions(): boolean {
    return this.rules.some((rule) => !rule.exclude);
  }
}

function toRule(line: string): Rule | undefined {
  const exclude = !line.startsWith("!");
  const segments: string[] = [];
  for (const segment of (exclude ? line : line.slice(1)).trim().split("/")) {
    if (segment === "..") segments.pop();
    else if (segment !== "" && segment !== ".") segments.push(segment);
  }
  if (segments.length === 0) return undefined;
  return { exclude, matches: new RegExp(`^${pathPatternSource(segments)}$`, "s") };
}

/** Regular expression source of a Go filepath.Match pattern in segments, where `**` spans any number of them. */
export function pathPatternSource(segments: readonly string[]): string {
  let source = "";
  for (const [index, segment] of segments.entries()) {
    const last = index === segments.length - 1;
    if (segment === "**") source += last ? ".*" : "(?:.*/)?";
    else source += segmentSource(segment) + (last ? "" : "/");
  }
  return source;
}

function segmentSource(segment: string): string {
  let source = "";
  for (let index = 0; index < segment.length; index += 1) {
    const character = segment[index] ?? "";
    if (character === "*") {
      source += segment[index + 1] === "*" ? ".*" : "[^/]*";
      if (segment[index + 1] === "*") index += 1;
    } else if (character === "?") source += "[^/]";
    else if (character === "[") {
      const end = segment.indexOf("]", index + 1);
      if (end < 0) throw new SyntaxError("syntax error in pattern");
      source += `[${segment.slice(index + 1, end).replace(/\\(?!.)/g, "\\\\")}]`;
      index = end;
    } else {
      if (character === "\\" && index + 1 < segment.length) index += 1;
      source += (segment[index] ?? "").replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
    }
  }
  return source;
}
