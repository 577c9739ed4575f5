/** Points in time as Docker's clients write them. */
import { internal } from "@gantry/errors";
import { dateProblem } from "./go-date.ts";

const unitNano: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

/** Reads a Go duration (`1h30m`, counted back from now), an RFC 3339 form, or Unix seconds. */
export function parseTimestampNano(text: string, nowNano: bigint): bigint {
  const age = durationNano(text);
  if (age !== undefined) return nowNano - age;
  const seconds = /^(\d+)(?:\.(\d{1,9}))?$/.exec(text);
  if (seconds !== null) {
    const [, whole = "0", fraction = ""] = seconds;
    return BigInt(whole) * 1_000_000_000n + BigInt(fraction.padEnd(9, "0"));
  }
  const date = /^\d{4}-\d\d-\d\d(?:T\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?)?(?:Z|[+-]\d\d:\d\d)?$/;
  const ms = date.test(text) ? Date.parse(completed(text)) : Number.NaN;
  if (Number.isNaN(ms)) {
    throw internal(
      dateProblem(text) ?? `failed to parse value as time or duration: ${JSON.stringify(text)}`,
    );
  }
  return BigInt(ms) * 1_000_000n;
}

/** JavaScript wants minutes where there are hours. */
function completed(text: string): string {
  return text.replace(/T(\d\d)(?=Z|[+-]|$)/, "T$1:00");
}

function durationNano(text: string): bigint | undefined {
  if (!/^(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, amount = "0", unit = "s"] of text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)) {
    total += Number(amount) * (unitNano[unit] ?? 0);
  }
  return Number.isSafeInteger(Math.round(total)) ? BigInt(Math.round(total)) : undefined;
}
