/** Detach keys: `ctrl-p,ctrl-q`, or single characters. */
import { invalidArgument } from "@gantry/errors";

/** Docker's default: ctrl-p ctrl-q. */
export const defaultDetachKeys: Uint8Array = Uint8Array.of(16, 17);

const longestSequence = 16;
const afterCtrl = "@abcdefghijklmnopqrstuvwxyz[\\]^_";

/** Bytes of a sequence; empty text is the default. Throws invalid_argument. */
export function parseDetachKeys(text: string): Uint8Array {
  if (text === "") return defaultDetachKeys;
  const keys = text.split(",").map(keyByte);
  if (keys.includes(undefined) || keys.length > longestSequence) {
    throw invalidArgument(`Invalid detach keys (${text}) provided`);
  }
  return Uint8Array.from(keys as number[]);
}

function keyByte(key: string): number | undefined {
  if (key.length === 1 && key.charCodeAt(0) < 128) return key.charCodeAt(0);
  const control = /^ctrl-(.)$/.exec(key)?.[1]?.toLowerCase();
  if (control === undefined) return undefined;
  const byte = afterCtrl.indexOf(control);
  return byte === -1 ? undefined : byte;
}
