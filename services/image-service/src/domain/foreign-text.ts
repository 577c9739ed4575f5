/** Text from a registry, made fit for a terminal and a log line. */

/** Longest text that is passed on. */
const maxLength = 1024;

/** Control characters (escape sequences begin with one) and bidirectional overrides become spaces. */
export function plainText(text: string): string {
  const short = text.length > maxLength ? `${text.slice(0, maxLength)}…` : text;
  return short.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]+/g, " ").trim();
}
