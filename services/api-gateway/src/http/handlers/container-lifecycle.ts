/** Handlers that change the state of containers. A client that goes away cancels none of them. */

import { invalidArgument } from "@gantry/errors";
import type { ApiCall } from "../api-call.ts";
import { bodyMissing, hasBody } from "../decode/body.ts";
import { decodeCreate } from "../decode/create.ts";
import { filterSet, readFilters } from "../decode/filters.ts";
import { decodeRestartPolicy } from "../decode/host-config.ts";
import { given } from "../decode/init.ts";
import { decodeResources } from "../decode/resources.ts";
import { nullIfEmpty } from "../encode/json.ts";
import { opened } from "../encode/version-gates.ts";

/** POST /containers/create */
export async function createContainer(call: ApiCall): Promise<void> {
  const { query, version } = call;
  if (!hasBody(call.request)) throw bodyMissing();
  const body = await call.optionalJsonBody();
  if (body === undefined || body.isEmpty) {
    throw invalidArgument("config cannot be empty in order to create a container");
  }
  const { request, warnings } = decodeCreate(body, version);
  const created = await call.backends.containers.createContainer({
    ...request,
    name: query.text("name"),
    platform: opened("createPlatform", version) ? query.text("platform") : "",
    apiVersion: call.apiVersion,
  });
  call.json({ Id: created.id, Warnings: [...created.warnings, ...warnings] }, 201);
}

/** Longest body of a start: an empty object and some blanks, from clients that always send one. */
const maxStartBody = 7;

/** POST /containers/{id}/start */
export async function startContainer(call: ApiCall): Promise<void> {
  const { headers } = call.request;
  const length = Number(headers["content-length"] ?? 0);
  if (headers["transfer-encoding"] !== undefined || length > maxStartBody) {
    throw invalidArgument(
      "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24",
    );
  }
  if (call.query.text("checkpoint") !== "") {
    throw invalidArgument("checkpoint is only supported in experimental mode");
  }
  await call.backends.containers.startContainer({ container: call.name });
  call.empty(204);
}

/** POST /containers/{id}/stop */
export async function stopContainer(call: ApiCall): Promise<void> {
  await call.backends.containers.stopContainer(stopOptions(call));
  call.empty(204);
}

/** POST /containers/{id}/restart */
export async function restartContainer(call: ApiCall): Promise<void> {
  await call.backends.containers.restartContainer(stopOptions(call));
  call.empty(204);
}

function stopOptions({ name, query, version }: ApiCall) {
  return given({
    container: name,
    signal: opened("stopSignal", version) ? query.text("signal") : "",
    timeoutSeconds: query.integer("t"),
  });
}

/** POST /containers/{id}/kill */
export async function killContainer(call: ApiCall): Promise<void> {
  const signal = call.query.text("signal");
  await call.backends.containers.killContainer({ container: call.name, signal });
  call.empty(204);
}

/** POST /containers/{id}/pause */
export async function pauseContainer(call: ApiCall): Promise<void> {
  await call.backends.containers.pauseContainer({ container: call.name });
  call.empty(204);
}

/** POST /containers/{id}/unpause */
export async function unpauseContainer(call: ApiCall): Promise<void> {
  await call.backends.containers.unpauseContainer({ container: call.name });
  call.empty(204);
}

/** POST /containers/{id}/rename */
export async function renameContainer(call: ApiCall): Promise<void> {
  const name = call.query.text("name");
  await call.backends.containers.renameContainer({ container: call.name, name });
  call.empty(204);
}

/** POST /containers/{id}/update */
export async function updateContainer(call: ApiCall): Promise<void> {
  const body = await call.jsonBody();
  const policy = body.object("RestartPolicy");
  const resources = decodeResources(body, call.version);
  if (!opened("updatePidsLimit", call.version)) delete resources.pidsLimit;
  const { warnings } = await call.backends.containers.updateContainer(
    given({
      container: call.name,
      resources,
      restartPolicy: policy === undefined ? undefined : decodeRestartPolicy(policy),
    }),
  );
  call.json({ Warnings: nullIfEmpty(warnings) });
}

/** DELETE /containers/{id} */
export async function removeContainer(call: ApiCall): Promise<void> {
  const { query } = call;
  await call.backends.containers.removeContainer({
    container: call.name,
    force: query.flag("force"),
    removeVolumes: query.flag("v"),
    removeLink: query.flag("link"),
  });
  call.empty(204);
}

const pruneKeys = new Set(["label", "label!", "until"]);

/** POST /containers/prune */
export async function pruneContainers(call: ApiCall): Promise<void> {
  const filters = filterSet(readFilters(call.query, pruneKeys));
  const pruned = await call.backends.containers.pruneContainers({ filters });
  call.json({
    ContainersDeleted: nullIfEmpty(pruned.deleted),
    SpaceReclaimed: pruned.spaceReclaimedBytes,
  });
}
