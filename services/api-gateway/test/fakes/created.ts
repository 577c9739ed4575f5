/** Creates a container over the API. */
import assert from "node:assert/strict";
import { post } from "./http.ts";
import type { Stack } from "./stack.ts";

/** @returns its ID */
export async function created(
  { socket }: Stack,
  cmd: string[],
  fields: object = {},
  query = "",
): Promise<string> {
  const answer = await post(socket, `/containers/create${query}`, {
    Image: "busybox",
    Cmd: cmd,
    ...fields,
  });
  assert.equal(answer.status, 201, answer.body);
  return (answer.json() as { Id: string }).Id;
}
