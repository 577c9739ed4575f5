/** The body of POST /containers/create. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { internal, invalidArgument } from "@gantry/errors";
import type { CreateContainerRequestSchema } from "@gantry/proto/container";
import { opened } from "../encode/version-gates.ts";
import { decodeConfig } from "./container-config.ts";
import { decodeEndpoint, type EndpointInit } from "./endpoint.ts";
import { Fields } from "./fields.ts";
import { decodeHostConfig } from "./host-config.ts";
import { given } from "./init.ts";
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
  if (opened("interfaceSysctls", version)) refuseInterfaceSysctls(hostConfig.sysctls ?? {});
  const config = decodeConfig(body, version);
  const { container, endpoints, warnings } = placeMac(
    {
      container: config.macAddress ?? "",
      networkMode: hostConfig.networkMode ?? "",
      endpoints: decodeEndpoints(body.object("NetworkingConfig"), version),
    },
    version,
  );
  const request = given({ config: { ...config, macAddress: container }, hostConfig, endpoints });
  return { request, warnings };
}

function refuseInterfaceSysctls(sysctls: Readonly<Record<string, string>>): void {
  const own = Object.keys(sysctls).find((name) => /^net(?:\.[^.]+){2}\.eth\d+\../.test(name));
  if (own === undefined) return;
  throw internal(
    `interface specific sysctl setting "${own}" must be supplied using driver option 'com.docker.network.endpoint.sysctls'`,
  );
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
