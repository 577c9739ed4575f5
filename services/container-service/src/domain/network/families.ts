/** Which families of addresses a network has. Texts are Docker's. */
import { invalidArgument } from "@gantry/errors";

/** Options of every driver that say so, where the request itself does not. */
const optionNames = { 4: "com.docker.network.enable_ipv4", 6: "com.docker.network.enable_ipv6" };

/** By the request, else by an option, else IPv4 alone. Errors: invalid_argument. */
export function isFamilyEnabled(
  family: 4 | 6,
  asked: boolean | undefined,
  options: Readonly<Record<string, string>>,
): boolean {
  if (asked !== undefined) return asked;
  const name = optionNames[family];
  const text = options[name];
  if (text === undefined) return family === 4;
  const value = parseFlag(text);
  if (value === undefined) throw invalidArgument(`driver-opt "${name}" is not a valid bool`);
  return value;
}

/** A truth value in an option; undefined when it is none. */
export function parseFlag(text: string): boolean | undefined {
  if (["1", "t", "T", "true", "TRUE", "True"].includes(text)) return true;
  if (["0", "f", "F", "false", "FALSE", "False"].includes(text)) return false;
  return undefined;
}
