/** Builds with `version=2`, between the wire and BuildKit's front: translation only. */
import { randomUUID } from "node:crypto";
import { internal } from "@gantry/errors";
import type { BuildRequest as WireRequest } from "@gantry/proto/build";
import type { RestBuild, RestEvent } from "../buildkit/control/rest-build.ts";
import type { ExporterRequest } from "../buildkit/solve/export-context.ts";
import { isExporter } from "../buildkit/solve/exporters.ts";

/** The query's options as attributes of the Dockerfile frontend. */
export function restBuildOf(
  wire: WireRequest,
  archive: AsyncIterable<Uint8Array> | undefined,
): Omit<RestBuild, "exporters"> {
  const { limits, platform } = wire;
  const context = archive === undefined && wire.remote !== "client-session" ? wire.remote : "";
  const ulimits = (limits?.ulimits ?? []).map(
    ({ name, soft, hard }) => `${name}=${String(soft)}:${String(hard)}`,
  );
  // A build argument without a value is one that the client's environment does not have.
  const buildArgs = wire.buildArgs.flatMap(({ name, value }): [string, string][] =>
    value === undefined ? [] : [[`build-arg:${name}`, value]],
  );
  const labels = Object.entries(wire.labels).map(([name, value]): [string, string] => [
    `label:${name}`,
    value,
  ]);
  return {
    ref: randomUUID(),
    sessionId: wire.session,
    archive,
    cacheFrom: wire.cacheFrom,
    attrs: {
      ...Object.fromEntries([...buildArgs, ...labels]),
      ...given("context", context),
      ...given("filename", wire.dockerfile),
      ...given("target", wire.target),
      ...(wire.noCache && { "no-cache": "" }),
      ...(platform !== undefined && { platform: platformText(platform) }),
      ...given("force-network-mode", wire.networkMode),
      ...given("add-hosts", csv(wire.extraHosts.map((host) => host.replace(":", "=")))),
      ...given("ulimit", csv(ulimits)),
      ...((limits?.shmSizeBytes ?? 0n) > 0n && { "shm-size": String(limits?.shmSizeBytes) }),
      "image-resolve-mode": wire.pull ? "pull" : "default",
    },
  };
}

/** Where the result goes. Throws internal for an exporter that there isn't. */
export function exportersOf({ outputs, tags }: WireRequest): ExporterRequest[] {
  const list = outputs.length > 0 ? outputs : [{ type: "moby", attrs: {} }];
  const exporters = list.filter(({ type }) => type !== "cacheonly");
  for (const { type } of exporters) {
    if (!isExporter(type)) throw internal(`exporter ${JSON.stringify(type)} could not be found`);
  }
  return exporters.map(({ type, attrs }) => ({
    type,
    attrs: { ...attrs, ...given("name", csv(tags)) },
  }));
}

/** Docker's messages: progress as base64 of BuildKit's own. */
export function restMessageOf(event: RestEvent) {
  if (event.kind === "image") {
    return { progress: { id: "moby.image.id", auxJson: JSON.stringify({ ID: event.digest }) } };
  }
  const text = Buffer.from(event.bytes).toString("base64");
  return { progress: { id: "moby.buildkit.trace", auxJson: JSON.stringify(text) } };
}

const given = (key: string, value: string): Record<string, string> =>
  value === "" ? {} : { [key]: value };

const csv = (values: readonly string[]): string =>
  values.map((value) => (/[",]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value)).join();

function platformText({ os, architecture, variant }: NonNullable<WireRequest["platform"]>): string {
  return [os, architecture, variant].filter((part) => part !== "").join("/");
}
