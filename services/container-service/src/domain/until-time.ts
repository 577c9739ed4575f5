/** Docker's `until` filter: a time, or how long ago. */
import { parsePointInTime } from "@gantry/config";
import { invalidArgument } from "@gantry/errors";

/** Nanoseconds since the epoch. Errors: invalid_argument. */
export function parseUntil(text: string, nowNano: bigint): bigint {
  const time = parsePointInTime(text, nowNano);
  if ("problem" in time) throw invalidArgument(time.problem);
  return time.nano;
}
