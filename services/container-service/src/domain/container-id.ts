/** IDs of containers and execs, and what a name may look like. */
import { randomBytes } from "node:crypto";
import { invalidArgument } from "@gantry/errors";

/** 64 hex digits. The first 12 are never all digits: they serve as host name. */
export function newId(): string {
  for (;;) {
    const id = randomBytes(32).toString("hex");
    if (!/^\d{12}/.test(id)) return id;
  }
}

/** Whether this is one, not what else may be in a folder of them. */
export function isId(name: string): boolean {
  return /^[0-9a-f]{64}$/.test(name);
}

/** The 12 digits that people see. */
export function shortId(id: string): string {
  return id.slice(0, 12);
}

/** Checks a name that a user gave (a leading slash may be there) and returns it without slash. */
export function parseContainerName(given: string): string {
  const name = given.replace(/^\//, "");
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/.test(name)) {
    throw invalidArgument(
      `Invalid container name (${given}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`,
    );
  }
  return name;
}
