/** Docker's HostConfig → HostConfig. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { invalidArgument } from "@gantry/errors";
import type { HostConfigSchema, RestartPolicySchema } from "@gantry/proto/container";
import { opened } from "../encode/version-gates.ts";
import type { Fields } from "./fields.ts";
import { given, textList } from "./init.ts";
import { decodeMount } from "./mount.ts";
import { decodeResources, messageLists } from "./resources.ts";

type HostConfigInit = MessageInitShape<typeof HostConfigSchema>;

/** Decodes a HostConfig object. */
export function decodeHostConfig(fields: Fields, version: number): HostConfigInit {
  return given({
    ...identity(fields, version),
    ...namespaces(fields, version),
    ...lists(fields),
    portBindings: portBindings(fields),
    resources: decodeResources(fields, version),
    mounts: fields.structs("Mounts").map((mount) => decodeMount(mount, version)),
    emptyLists: [
      ...messageLists.filter((name) => fields.list(name)?.length === 0),
      ...(fields.map("PortBindings")?.size === 0 ? ["PortBindings"] : []),
    ],
  });
}

function identity(fields: Fields, version: number) {
  const logConfig = fields.object("LogConfig");
  const restartPolicy = fields.object("RestartPolicy");
  return {
    containerIdFile: fields.text("ContainerIDFile"),
    logConfig:
      logConfig === undefined
        ? undefined
        : { type: logConfig.text("Type"), config: logConfig.textMap("Config") ?? {} },
    restartPolicy: restartPolicy === undefined ? undefined : decodeRestartPolicy(restartPolicy),
    autoRemove: opened("autoRemove", version) && fields.flag("AutoRemove"),
    volumeDriver: fields.text("VolumeDriver"),
    ...consoleSize(fields, version),
    annotations: opened("annotations", version) ? (fields.textMap("Annotations") ?? {}) : {},
    oomScoreAdj: fields.small("OomScoreAdj"),
    privileged: fields.flag("Privileged"),
    publishAllPorts: fields.flag("PublishAllPorts"),
    readonlyRootfs: fields.flag("ReadonlyRootfs"),
    storageOpt: fields.textMap("StorageOpt") ?? {},
    tmpfs: fields.textMap("Tmpfs") ?? {},
    shmSizeBytes: fields.integer("ShmSize"),
    sysctls: fields.textMap("Sysctls") ?? {},
    runtime: fields.text("Runtime"),
    isolation: fields.text("Isolation"),
    init: fields.optFlag("Init"),
  };
}

function namespaces(fields: Fields, version: number) {
  const ipcMode = fields.text("IpcMode");
  return {
    networkMode: fields.text("NetworkMode"),
    cgroupnsMode: fields.text("CgroupnsMode"),
    ipcMode: ipcMode === "" && !opened("privateIpc", version) ? "shareable" : ipcMode,
    cgroup: fields.text("Cgroup"),
    pidMode: fields.text("PidMode"),
    utsMode: fields.text("UTSMode"),
    usernsMode: fields.text("UsernsMode"),
  };
}

function lists(fields: Fields) {
  return {
    binds: textList(fields.texts("Binds")),
    volumesFrom: textList(fields.texts("VolumesFrom")),
    capAdd: textList(fields.oneOrMoreTexts("CapAdd")),
    capDrop: textList(fields.oneOrMoreTexts("CapDrop")),
    dns: textList(fields.texts("Dns")),
    dnsOptions: textList(fields.texts("DnsOptions")),
    dnsSearch: textList(fields.texts("DnsSearch")),
    extraHosts: textList(fields.texts("ExtraHosts")),
    groupAdd: textList(fields.texts("GroupAdd")),
    links: textList(fields.texts("Links")),
    securityOpt: textList(fields.texts("SecurityOpt")),
    maskedPaths: textList(fields.texts("MaskedPaths")),
    readonlyPaths: textList(fields.texts("ReadonlyPaths")),
  };
}

/** `[height, width]`. */
export function consoleSize(fields: Fields, version: number) {
  const size = opened("consoleSize", version) ? fields.sizes("ConsoleSize") : undefined;
  if (size !== undefined && size.length !== 2) {
    throw invalidArgument("invalid JSON: ConsoleSize: expected [height, width]");
  }
  return { consoleHeight: size?.[0] ?? 0, consoleWidth: size?.[1] ?? 0 };
}

/** Decodes a restart policy. */
export function decodeRestartPolicy(fields: Fields): MessageInitShape<typeof RestartPolicySchema> {
  return { name: fields.text("Name"), maximumRetryCount: fields.small("MaximumRetryCount") };
}

function portBindings(fields: Fields) {
  return fields.objectListMap("PortBindings").map(([port, bindings]) => ({
    port,
    bindings: bindings.map((each) => ({
      hostIp: each.text("HostIp"),
      hostPort: each.text("HostPort"),
    })),
  }));
}
