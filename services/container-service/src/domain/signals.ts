/** Signals by name and number, as users write them. */
import { constants } from "node:os";
import { invalidArgument } from "@gantry/errors";
import { highestSignal, isStopSignal, signalNumber } from "@gantry/oci";

/**
 * Number of a signal: `TERM`, `sigterm`, `15`, `RTMIN+3`. Throws invalid_argument, whose message
 * begins with `context`.
 * @param unknown what is said of a number that no signal has
 */
export function parseSignal(text: string, context = "", unknown = "invalid signal: "): number {
  const number = /^-?\d+$/.test(text) ? Number(text) : signalNumber(text);
  if (number === undefined || number === 0) {
    throw invalidArgument(`${context}invalid signal: ${text}`);
  }
  if (number < 1 || number > highestSignal) throw invalidArgument(`${context}${unknown}${text}`);
  return number;
}

/** What create refuses: everything but a name, and a number that need not be any signal's. Throws invalid_argument. */
export function checkStopSignal(text: string): void {
  if (!isStopSignal(text)) throw invalidArgument(`invalid signal: ${text}`);
}

/** What stops a container; an image's word that means nothing is SIGTERM. Undefined: a number that no signal has. */
export function parseStopSignal(text: string): number | undefined {
  const number = isStopSignal(text)
    ? (signalNumber(text) ?? Number(text))
    : constants.signals.SIGTERM;
  return number < 1 || number > highestSignal ? undefined : number;
}
