/** Signals by name and number, as users write them. */
import { constants } from "node:os";
import { invalidArgument } from "@gantry/errors";

const firstRealtime = 34;
const lastRealtime = 64;

/** Numbers by name without `SIG`. */
const numbers: ReadonlyMap<string, number> = new Map([
  ...Object.entries(constants.signals).map(([name, number]) => [name.slice(3), number] as const),
  ["CLD", constants.signals.SIGCHLD] as const,
  ["POLL", constants.signals.SIGIO] as const,
  ["RTMIN", firstRealtime] as const,
  ["RTMAX", lastRealtime] as const,
]);

/**
 * Number of a signal: `TERM`, `sigterm`, `15`, `RTMIN+3`. Throws invalid_argument, whose message
 * begins with `context`.
 * @param unknown what is said of a number that no signal has
 */
export function parseSignal(text: string, context = "", unknown = "invalid signal: "): number {
  const number = /^-?\d+$/.test(text) ? Number(text) : namedSignal(text);
  if (number === undefined || number === 0) {
    throw invalidArgument(`${context}invalid signal: ${text}`);
  }
  if (number < 1 || number > lastRealtime) throw invalidArgument(`${context}${unknown}${text}`);
  return number;
}

/** What create refuses: everything but a name, and a number that need not be any signal's. Throws invalid_argument. */
export function checkStopSignal(text: string): void {
  if (wantedStopSignal(text) === undefined) throw invalidArgument(`invalid signal: ${text}`);
}

/** What stops a container; an image's word that means nothing is SIGTERM. Undefined: a number that no signal has. */
export function parseStopSignal(text: string): number | undefined {
  const number = wantedStopSignal(text) ?? constants.signals.SIGTERM;
  return number < 1 || number > lastRealtime ? undefined : number;
}

function wantedStopSignal(text: string): number | undefined {
  const number = /^[-+]?\d+$/.test(text) ? Number(text) : namedSignal(text);
  return number === 0 ? undefined : number;
}

function namedSignal(text: string): number | undefined {
  const name = text.toUpperCase().replace(/^SIG/, "");
  const realtime = /^(RTMIN\+|RTMAX-)(\d{1,2})$/.exec(name);
  if (realtime === null) return numbers.get(name);
  const offset = Number(realtime[2]);
  const number = realtime[1] === "RTMIN+" ? firstRealtime + offset : lastRealtime - offset;
  return number >= firstRealtime && number <= lastRealtime ? number : undefined;
}
