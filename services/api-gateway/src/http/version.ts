/** API versions. The major part is 1 in every version that exists, so the minor part stands for all. */
import { invalidArgument } from "@gantry/errors";
import { newestApi, newestApiMinor, oldestApi, oldestApiMinor } from "../identity.ts";

/** Splits `/v1.41/containers/json` into version text and path; no version text for a bare path. */
export function splitVersion(path: string): {
  readonly text: string | undefined;
  readonly path: string;
} {
  if (path.charCodeAt(1) !== 0x76) return { text: undefined, path };
  const match = /^\/v([0-9]+(?:\.[0-9]+)*)(\/.*)$/.exec(path);
  return match === null ? { text: undefined, path } : { text: match[1], path: match[2] ?? "/" };
}

/**
 * The minor part of an accepted version; a bare path means the newest.
 * Throws invalid_argument with Docker's words for one out of range.
 */
export function negotiate(text: string | undefined): number {
  if (text === undefined) return newestApiMinor;
  const parts = text.split(".").map(Number);
  if (compare(parts, [1, oldestApiMinor]) < 0) {
    throw invalidArgument(
      `client version ${text} is too old. Minimum supported API version is ${oldestApi}, please upgrade your client to a newer version`,
    );
  }
  if (compare(parts, [1, newestApiMinor]) > 0) {
    throw invalidArgument(
      `client version ${text} is too new. Maximum supported API version is ${newestApi}`,
    );
  }
  return parts[1] ?? 0;
}

/** Whether a version is so old that its clients understand plain text errors only. */
export function wantsPlainErrors(text: string): boolean {
  return compare(text.split(".").map(Number), [1, 24]) < 0;
}

/** Numeric comparison, component by component; a missing one counts as 0. */
function compare(left: readonly number[], right: readonly number[]): number {
  const length = Math.max(left.length, right.length);
  for (let i = 0; i < length; i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
