/** Signals by name, as users, images and Dockerfiles write them (signal(7)). */
import { constants } from "node:os";

/** Of real-time signals, as the C library of Linux has them. */
const firstRealtime = 34;
const lastRealtime = 64;

/** Real-time signals are named from both ends up to these offsets. */
const offsetsFromFirst = 15;
const offsetsFromLast = 14;

/** Numbers by name without `SIG`. */
const numbers: ReadonlyMap<string, number> = new Map([
  ...Object.entries(constants.signals).map(([name, number]) => [name.slice(3), number] as const),
  ["CLD", constants.signals.SIGCHLD],
  ["RTMIN", firstRealtime],
  ["RTMAX", lastRealtime],
  ...numbered(offsetsFromFirst, (n) => [`RTMIN+${String(n)}`, firstRealtime + n]),
  ...numbered(offsetsFromLast, (n) => [`RTMAX-${String(n)}`, lastRealtime - n]),
]);

function numbered(count: number, row: (n: number) => [string, number]): [string, number][] {
  return Array.from({ length: count }, (_, index) => row(index + 1));
}

/** The highest number that a signal has. */
export const highestSignal = lastRealtime;

/** Number of a signal by its name, with or without `SIG`, in any case. Undefined: no signal has it. */
export function signalNumber(name: string): number | undefined {
  return numbers.get(name.toUpperCase().replace(/^SIG/, ""));
}

/** Whether STOPSIGNAL takes it: any number but 0, or the name of a signal. */
export function isStopSignal(text: string): boolean {
  if (/^[-+]?\d+$/.test(text)) return Number(text) !== 0;
  return signalNumber(text) !== undefined;
}
