/** Values as Go's formatting writes them: history texts of Docker's builders hold some. */

const nsPerMs = 1e6;
const nsPerSecond = 1e9;

/** A duration: `1m30s`, `1.5s`, `250ms`, `0s`. */
export function goDuration(ns: number): string {
  if (ns === 0) return "0s";
  if (ns < 1e3) return `${String(ns)}ns`;
  if (ns < nsPerMs) return `${String(ns / 1e3)}µs`;
  if (ns < nsPerSecond) return `${String(ns / nsPerMs)}ms`;
  const seconds = Math.floor(ns / nsPerSecond);
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const rest = `${String((ns - (hours * 3600 + minutes * 60) * nsPerSecond) / nsPerSecond)}s`;
  if (hours > 0) return `${String(hours)}h${String(minutes)}m${rest}`;
  return minutes > 0 ? `${String(minutes)}m${rest}` : rest;
}

const escapes: Readonly<Record<number, string>> = {
  7: "\\a",
  8: "\\b",
  9: "\\t",
  10: "\\n",
  11: "\\v",
  12: "\\f",
  13: "\\r",
  39: "\\'",
  92: "\\\\",
};

/** A number as the character that it is the code of: `'\\x02'`, `'A'`. */
export function goCharacter(code: number): string {
  const plain = code >= 32 && code < 127 ? String.fromCharCode(code) : undefined;
  const hex = `\\x${code.toString(16).padStart(2, "0")}`;
  const wide = `\\u${code.toString(16).padStart(4, "0")}`;
  const text = escapes[code] ?? plain ?? (code < 128 ? hex : wide);
  return `'${text}'`;
}
