/** What a running container's name server knows is replaced or changed. */
import type { UpdateNamesRequest } from "@gantry/proto/shim";
import type { ShimRequestBody } from "../ports.ts";
import { type Brain, linkOf, runningRun } from "./container.ts";

/** Errors: conflict (not running), not_found (unknown network), what a silent process gives. */
export async function updateNames(brain: Brain, request: UpdateNamesRequest): Promise<void> {
  const { id, table, changes } = request;
  const link = await linkOf(runningRun(brain, id), id);
  const asked: ShimRequestBody[] = [
    ...(table === undefined ? [] : [{ case: "setNames" as const, value: table }]),
    ...changes.map((value) => ({ case: "changeNames" as const, value })),
  ];
  // One connection keeps their order.
  await Promise.all(asked.map((each) => link.ask(each)));
}
