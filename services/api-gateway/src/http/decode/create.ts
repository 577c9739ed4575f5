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

type CreateInit = MessageInitShape<typeof CreateContainerRequestSchema>;

/** Decodes config, host config and endpoints: the whole body. */
export function decodeCreate(body: Fields, version: number): CreateInit {
  const host = body.object("HostConfig") ?? new Fields(new Map());
  const endpoints = decodeEndpoints(body.object("NetworkingConfig"), version);
  const hostConfig = decodeHostConfig(host, version);
  if (opened("interfaceSysctls", version)) refuseInterfaceSysctls(hostConfig.sysctls ?? {});
  return given({
    config: decodeConfig(body, version),
    hostConfig,
    endpoints,
  });
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
  return Object.fromEntries(
    endpoints.map(([name, fields]) => [name, decodeEndpoint(fields, version)]),
  );
}
