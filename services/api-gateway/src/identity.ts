/** What the engine calls itself. Clients branch on these words, so they are Docker's where Docker has one. */

/** Version of the engine whose API and behaviour this is. */
export const engineVersion = "29.0.0";
/** Newest API version; the minor part, since the major is always 1. */
export const newestApiMinor = 52;
/** Oldest API version accepted. */
export const oldestApiMinor = 24;
/** Newest API version as text. */
export const newestApi = `1.${String(newestApiMinor)}`;
/** Oldest API version as text. */
export const oldestApi = `1.${String(oldestApiMinor)}`;
/** Platform name of `docker version`. */
export const platformName = "Gantry";
/** Version of Gantry itself. */
export const gantryVersion = "0.1.0";
