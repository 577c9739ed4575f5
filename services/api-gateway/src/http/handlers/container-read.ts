/** Handlers that tell of containers. */

import { fromBinary } from "@bufbuild/protobuf";
import { EngineError, invalidArgument } from "@gantry/errors";
import { ContainerSchema } from "@gantry/proto/container";
import { openWait } from "../../app/container-wait.ts";
import type { ApiCall } from "../api-call.ts";
import { filterSet, readFilters } from "../decode/filters.ts";
import { encodeContainer } from "../encode/container-inspect.ts";
import { containerRow } from "../encode/container-list.ts";
import { nullIfEmpty, toJson } from "../encode/json.ts";
import { encodeStats } from "../encode/stats.ts";
import { write } from "../relay.ts";
import { RowMemo } from "../row-memo.ts";

const listKeys = new Set([
  "ancestor",
  "before",
  "exited",
  "expose",
  "health",
  "id",
  "is-task",
  "isolation",
  "label",
  "name",
  "network",
  "publish",
  "since",
  "status",
  "volume",
]);

/** Rows of lists; image lists count in them, too. */
export const containerRows = new RowMemo((bytes, version) =>
  containerRow(fromBinary(ContainerSchema, bytes), version),
);

/** GET /containers/json */
export async function listContainers(call: ApiCall): Promise<void> {
  const { query, version } = call;
  const rows = await call.backends.containerRows({
    all: query.flag("all"),
    limit: query.integer("limit") ?? 0,
    size: query.flag("size"),
    filters: filterSet(readFilters(query, listKeys)),
  });
  const nowMs = Date.now();
  call.jsonList(rows.map((bytes) => containerRows.row(bytes, version).json(nowMs)));
}

/** GET /containers/{id}/json */
export async function inspectContainer(call: ApiCall): Promise<void> {
  const { container } = await call.backends.containers.inspectContainer({
    container: call.name,
    size: call.query.flag("size"),
  });
  if (container === undefined) throw new EngineError("internal", "the answer has no container");
  call.json(encodeContainer(container, call.version));
}

/** GET /containers/{id}/top */
export async function topContainer(call: ApiCall): Promise<void> {
  const psArgs = call.query.text("ps_args");
  const top = await call.backends.containers.topContainer({ container: call.name, psArgs });
  call.json({ Titles: top.titles, Processes: top.processes.map((each) => each.values) });
}

/** GET /containers/{id}/changes */
export async function listChanges(call: ApiCall): Promise<void> {
  const { changes } = await call.backends.containers.listChanges(
    { container: call.name },
    { signal: call.signal },
  );
  call.json(nullIfEmpty(changes.map(({ path, kind }) => ({ Path: path, Kind: kind }))));
}

/** POST /containers/{id}/resize */
export async function resizeContainer(call: ApiCall): Promise<void> {
  const size = terminalSize(call);
  await call.backends.containers.resizeContainer({ container: call.name, ...size });
  call.empty(200);
}

/** `h` and `w`, both needed, 32 bits. */
export function terminalSize({ query }: ApiCall): { height: number; width: number } {
  return { height: size(query.text("h"), "h"), width: size(query.text("w"), "w") };
}

function size(text: string, name: string): number {
  const value = /^-?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= 0 && value < 2 ** 32) return value;
  const problem = Number.isNaN(value) ? "invalid syntax" : "value out of range";
  throw invalidArgument(
    `invalid resize ${name === "h" ? "height" : "width"} ${JSON.stringify(text)}: ${problem}`,
  );
}

const conditions = new Set(["", "not-running", "next-exit", "removed"]);

/** POST /containers/{id}/wait: the head goes out as soon as the wait is registered. */
export async function waitContainer(call: ApiCall): Promise<void> {
  const condition = call.query.text("condition");
  if (!conditions.has(condition)) throw invalidArgument(`invalid condition: "${condition}"`);
  const wait = await openWait(call.backends, { container: call.name, condition }, call.signal);
  const response = call.startStream("application/json");
  const { exitCode, error } = await wait.result();
  const Error = error === "" ? undefined : { Message: error };
  response.end(`${toJson({ StatusCode: exitCode, Error })}\n`);
}

/** GET /containers/{id}/stats */
export async function containerStats(call: ApiCall): Promise<void> {
  const { query, version } = call;
  const stream = query.flag("stream", true);
  const oneShot = query.flag("one-shot");
  if (stream && oneShot) {
    throw invalidArgument("cannot have stream=true and one-shot=true");
  }
  const samples = call.backends.containers.statsContainer(
    { container: call.name, stream, oneShot },
    { signal: call.signal },
  );
  const iterator = samples[Symbol.asyncIterator]();
  // Errors before the head are the call's own. None at all come of what is removed before its second sample.
  let next = await iterator.next();
  const response = call.startStream("application/json");
  for (; next.done !== true; next = await iterator.next()) {
    await write(response, `${toJson(encodeStats(next.value, version))}\n`);
  }
  response.end();
}
