/** The body of POST /containers/create. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { invalidArgument } from "@gantry/errors";
import type { CreateContainerRequestSchema } from "@gantry/proto/container";
import { opened } from "../encode/version-gates.ts";
import { decodeConfig } from "./container-config.ts";
import { decodeEndpoint, type EndpointInit } from "./endpoint.ts";
import { Fields } from "./fields.ts";
import { decodeHostConfig } from "./host-config.ts";
import { placeInterfaceSysctls } from "./interface-sysctls.ts";
import { placeMac } from "./mac-address.ts";

type CreateInit = MessageInitShape<typeof CreateContainerRequestSchema>;

/** The request, and what the client is to be told of it. */
export interface DecodedCreate {
  readonly request: CreateInit;
  readonly warnings: readonly string[];
}

/** Decodes config, host config and endpoints: the whole body. */
export function decodeCreate(body: Fields, version: number): DecodedCreate {
  const host = body.object("HostConfig") ?? new Fields(new Map());
  const hostConfig = decodeHostConfig(host, version);
  const config = decodeConfig(body, version);
  const networkMode = hostConfig.networkMode ?? "";
  const given = decodeEndpoints(body.object("NetworkingConfig"), version);
  const mac = placeMac(
    { container: config.macAddress ?? "", networkMode, endpoints: given },
    version,
  );
  const placed = placeInterfaceSysctls(
    { sysctls: hostConfig.sysctls ?? {}, networkMode, endpoints: mac.endpoints },
    version,
  );
  const request = {
    config: { ...config, macAddress: mac.container },
    hostConfig: { ...hostConfig, sysctls: { ...placed.sysctls } },
    endpoints: { ...placed.endpoints },
  };
  return { request, warnings: [...placed.warnings, ...mac.warnings] };
}

function decodeEndpoints(
  networking: Fields | undefined,
  version: number,
): Record<string, EndpointInit> {
  const endpoints = networking?.objectMap("EndpointsConfig") ?? [];
  if (endpoints.length > 1 && !opened("manyEndpoints", version)) {
    const names = endpoints.map(([name]) => name).sort();
    throw invalidArgument(
      `Container cannot be created with multiple network endpoints: ${names.join(", ")}`,
    );
  }
  const nothing = endpoints.flatMap(([name, fields]) => (fields === undefined ? [name] : []));
  if (nothing.length > 0) {
    const problems = nothing.map(
      (name) => `invalid config for network ${name}: EndpointsConfig is nil`,
    );
    throw invalidArgument(
      problems.length === 1 ? problems.join("") : problems.map((each) => `* ${each}`).join("\n"),
    );
  }
  return Object.fromEntries(
    endpoints.map(([name, fields]) => [name, decodeEndpoint(fields, version)]),
  );
}
