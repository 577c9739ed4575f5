/** The challenges of a WWW-Authenticate header (RFC 9110, 11.6.1), as far as registries use them. */
export interface Challenge {
  /** Lower case: `basic`, `bearer`. */
  readonly scheme: string;
  /** By lower-case name. */
  readonly parameters: ReadonlyMap<string, string>;
}

/** A longer header is not read. */
const maxHeaderLength = 8192;

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+/;

/** Reads what can be read; malformed rests are passed over. */
export function parseChallenges(header: string): Challenge[] {
  const challenges: Challenge[] = [];
  let rest = header.slice(0, maxHeaderLength).trimStart();
  while (rest !== "") {
    const scheme = token.exec(rest)?.[0];
    if (scheme === undefined) break;
    rest = rest.slice(scheme.length).trimStart();
    const parameters = new Map<string, string>();
    rest = readParameters(rest, parameters);
    challenges.push({ scheme: scheme.toLowerCase(), parameters });
  }
  return challenges;
}

/** Reads `name=value, name="value"` and returns what follows: the next challenge. */
function readParameters(text: string, parameters: Map<string, string>): string {
  let rest = text;
  for (;;) {
    rest = rest.replace(/^[\s,]+/, "");
    const name = token.exec(rest)?.[0];
    if (name === undefined || !/^\s*=/.test(rest.slice(name.length))) return rest;
    rest = rest.slice(name.length).replace(/^\s*=\s*/, "");
    const quoted = /^"((?:[^"\\]|\\.)*)"/.exec(rest);
    const value = quoted?.[0] ?? token.exec(rest)?.[0] ?? "";
    parameters.set(
      name.toLowerCase(),
      quoted === null ? value : (quoted[1] ?? "").replaceAll(/\\(.)/g, "$1"),
    );
    rest = rest.slice(value.length);
    // A malformed value would never be passed.
    if (value === "") return "";
  }
}
