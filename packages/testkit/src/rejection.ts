/** What a promise is refused with, for tests that look at more than its message. */
import assert from "node:assert/strict";

/** Resolves with the error; a promise that keeps its word is a failure. */
export async function rejection<E extends Error>(promise: Promise<unknown>): Promise<E> {
  try {
    await promise;
  } catch (error) {
    return error as E;
  }
  throw new assert.AssertionError({ message: "was not refused" });
}
