/**
 * The nouns of a container that users write. They are the messages of gantry.container.v1, taken as
 * types only: the contract names some two hundred members, and a second set of the same names would
 * only be able to differ from them by mistake. Nothing in `domain` encodes, decodes or makes one.
 */
export type {
  ContainerConfig,
  DeviceMapping,
  DeviceRequest,
  HealthConfig,
  HostConfig,
  LogConfig,
  Mount,
  Resources,
  RestartPolicy,
  StringList,
  Ulimit,
} from "@gantry/proto/container";
