/** Docker's `until` filter: a time, or how long ago. */
import { invalidArgument } from "@gantry/errors";

const unitsNano: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

/**
 * Nanoseconds since the epoch of `10m` or `1h30m` before now, `1700000000[.5]` (seconds since the epoch), or
 * a date as in RFC 3339, whose time and zone may be missing. Errors: invalid_argument.
 */
export function parseUntil(text: string, nowNano: bigint): bigint {
  const secondsSinceEpoch = /^(\d{1,12})(?:\.(\d{1,9}))?$/.exec(text);
  if (secondsSinceEpoch !== null) {
    const [, seconds = "0", fraction = ""] = secondsSinceEpoch;
    return BigInt(seconds) * 1_000_000_000n + BigInt(fraction.padEnd(9, "0"));
  }
  if (/^(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+$/.test(text)) {
    return nowNano - BigInt(Math.round(durationNano(text)));
  }
  const timeMs = /^\d{4}-\d{2}-\d{2}(?:T[\d:.]+(?:Z|[+-]\d{2}:\d{2})?)?$/.test(text)
    ? Date.parse(text)
    : Number.NaN;
  if (Number.isNaN(timeMs))
    throw invalidArgument(`failed to parse value as time or duration: ${JSON.stringify(text)}`);
  return BigInt(timeMs) * 1_000_000n;
}

function durationNano(text: string): number {
  let sum = 0;
  for (const [, number = "0", unit = "s"] of text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)) {
    sum += Number(number) * (unitsNano[unit] ?? 0);
  }
  return sum;
}
