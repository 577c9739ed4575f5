/** Points in time as Docker's clients write them: in filters, a time or how long ago. */
import { parseGoDate } from "./go-date.ts";

/** A time, or why the text is none, in Docker's words. */
export type PointInTime = { readonly nano: bigint } | { readonly problem: string };

const unitNano: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

const maxNano = 2n ** 63n;

/** Nanoseconds since the epoch of `1h30m` before now, of a date with or without time and zone, or of `seconds[.fraction]`. */
export function parsePointInTime(text: string, nowNano: bigint): PointInTime {
  const age = parseGoDuration(text);
  if (age !== undefined && text !== "0") return { nano: nowNano - age };
  const local = -new Date(Number(nowNano / 1_000_000n)).getTimezoneOffset();
  const date = parseGoDate(text, local);
  if ("nano" in date || text.includes("-")) return date;
  const nano = parseUnixTime(text);
  if (nano !== undefined) return { nano };
  return { problem: `failed to parse value as time or duration: ${JSON.stringify(text)}` };
}

function parseUnixTime(text: string): bigint | undefined {
  const [, seconds, fraction = ""] = /^\+?(\d+)(?:\.(\d{1,18}))?$/.exec(text) ?? [];
  if (seconds === undefined || BigInt(seconds) >= maxNano) return undefined;
  return BigInt(seconds) * 1_000_000_000n + BigInt(fraction.slice(0, 9).padEnd(9, "0"));
}

/** A Go duration, as nanoseconds. */
function parseGoDuration(text: string): bigint | undefined {
  const form = /^([+-]?)((?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)$/;
  const [, sign, amounts = ""] = form.exec(text) ?? [];
  if (sign === undefined) return undefined;
  let sum = 0;
  for (const [, amount = "0", unit = "s"] of amounts.matchAll(/([\d.]+)([^\d.]+)/g)) {
    sum += Number(amount) * (unitNano[unit] ?? 0);
  }
  const nano = BigInt(Math.round(sum));
  if (nano >= maxNano) return undefined;
  return sign === "-" ? -nano : nano;
}
