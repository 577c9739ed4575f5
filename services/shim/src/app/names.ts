/** What a running container's name server knows is replaced or changed. */
import type { UpdateNamesRequest } from "@gantry/proto/shim";
import type { ShimRequestBody } from "../ports.ts";
import { askRun, type Brain, runningRun } from "./container.ts";

/** Errors: conflict (not running), not_found (unknown network), what a silent process gives. */
export async function updateNames(brain: Brain, request: UpdateNamesRequest): Promise<void> {
  const { id, table, changes } = request;
  const run = runningRun(brain, id);
  const asked: ShimRequestBody[] = [
    ...(table === undefined ? [] : [{ case: "setNames" as const, value: table }]),
    ...changes.map((value) => ({ case: "changeNames" as const, value })),
  ];
  // One connection keeps their order.
  await Promise.all(asked.map((each) => askRun(run, id, each)));
}
