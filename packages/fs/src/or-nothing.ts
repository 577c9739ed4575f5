import { hasErrno } from "@gantry/errors";

/** What a file operation gives; undefined when what it is about is not there (ENOENT). */
export async function orNothing<Found>(found: Promise<Found>): Promise<Found | undefined> {
  try {
    return await found;
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}
