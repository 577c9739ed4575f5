/** Unix times as clients send them. */
import { invalidArgument } from "@gantry/errors";

/** `seconds[.fraction]` as nanoseconds; 0n for an empty text. Throws invalid_argument for anything else. */
export function parseTimestamp(text: string): bigint {
  if (text === "") return 0n;
  const match = /^(-?\d{1,12})(?:\.(\d+))?$/.exec(text);
  if (match === null) {
    const [seconds = "", ...fraction] = text.split(".");
    const wrong = /^-?\d{1,12}$/.test(seconds) ? fraction.join(".") : seconds;
    throw invalidArgument(`strconv.ParseInt: parsing ${JSON.stringify(wrong)}: invalid syntax`);
  }
  const fraction = (match[2] ?? "").slice(0, 9).padEnd(9, "0");
  return BigInt(match[1] ?? 0) * 1_000_000_000n + BigInt(fraction);
}
