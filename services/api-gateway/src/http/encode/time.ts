/** Times and durations as Docker writes them. */

/** Go's zero time. */
export const zeroTime = "0001-01-01T00:00:00Z";

/** RFC 3339 with as many fraction digits as needed (Go's RFC3339Nano), in UTC. 0 is Go's zero time. */
export function rfc3339(nano: bigint): string {
  if (nano === 0n) return zeroTime;
  const fraction = fractionDigits(nano).replace(/0+$/, "");
  return `${secondsText(nano)}${fraction === "" ? "" : `.${fraction}`}Z`;
}

/** RFC 3339 in whole seconds. */
export function rfc3339Seconds(nano: bigint): string {
  return nano === 0n ? zeroTime : `${secondsText(nano)}Z`;
}

/** Whole seconds since the epoch. */
export function unixSeconds(nano: bigint): number {
  return Number(nano / 1_000_000_000n);
}

function secondsText(nano: bigint): string {
  return new Date(unixSeconds(nano) * 1000).toISOString().slice(0, 19);
}

function fractionDigits(nano: bigint): string {
  return String(nano % 1_000_000_000n).padStart(9, "0");
}

/** A duration in words, with the thresholds of Docker's lists. */
export function humanDuration(ms: number): string {
  const seconds = Math.max(0, Math.trunc(ms / 1000));
  if (seconds < 1) return "Less than a second";
  if (seconds === 1) return "1 second";
  if (seconds < 60) return `${String(seconds)} seconds`;
  const minutes = Math.trunc(seconds / 60);
  if (minutes === 1) return "About a minute";
  if (minutes < 60) return `${String(minutes)} minutes`;
  return humanHours(seconds / 3600);
}

function humanHours(exact: number): string {
  const hours = Math.trunc(exact + 0.5);
  if (hours === 1) return "About an hour";
  if (hours < 48) return `${String(hours)} hours`;
  if (hours < 24 * 7 * 2) return `${String(Math.trunc(hours / 24))} days`;
  if (hours < 24 * 30 * 2) return `${String(Math.trunc(hours / 24 / 7))} weeks`;
  if (hours < 24 * 365 * 2) return `${String(Math.trunc(hours / 24 / 30))} months`;
  return `${String(Math.trunc(exact / 24 / 365))} years`;
}
