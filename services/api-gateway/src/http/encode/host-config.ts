/** HostConfig → Docker's JSON, field by field in Docker's order. */
import type { HostConfig, Mount, PortBindings, StringList } from "@gantry/proto/container";
import { type JsonOut, nullIfEmpty, sorted } from "./json.ts";
import { encodeResources } from "./resources.ts";
import { opened } from "./version-gates.ts";

/** An absent list is null, an empty one `[]`. */
export function listOrNull(list: StringList | undefined): readonly string[] | null {
  return list === undefined ? null : list.values;
}

/** Encodes a host configuration. */
export function encodeHostConfig(host: HostConfig, version: number): JsonOut {
  return {
    Binds: listOrNull(host.binds),
    ContainerIDFile: host.containerIdFile,
    LogConfig: {
      Type: host.logConfig?.type ?? "",
      Config: sorted(host.logConfig?.config ?? {}),
    },
    NetworkMode: host.networkMode,
    PortBindings:
      host.portBindings.length > 0 || host.emptyLists.includes("PortBindings")
        ? encodePortMap(host.portBindings)
        : null,
    RestartPolicy: {
      Name: host.restartPolicy?.name ?? "",
      MaximumRetryCount: host.restartPolicy?.maximumRetryCount ?? 0,
    },
    AutoRemove: host.autoRemove,
    VolumeDriver: host.volumeDriver,
    VolumesFrom: listOrNull(host.volumesFrom),
    ConsoleSize: [host.consoleHeight, host.consoleWidth],
    Annotations: opened("annotations", version) ? unlessEmptyMap(host.annotations) : undefined,
    CapAdd: listOrNull(host.capAdd),
    CapDrop: listOrNull(host.capDrop),
    CgroupnsMode: host.cgroupnsMode,
    Dns: listOrNull(host.dns),
    DnsOptions: listOrNull(host.dnsOptions),
    DnsSearch: listOrNull(host.dnsSearch),
    ExtraHosts: listOrNull(host.extraHosts),
    GroupAdd: listOrNull(host.groupAdd),
    IpcMode: host.ipcMode,
    Cgroup: host.cgroup,
    Links: nullIfEmpty(host.links?.values ?? []),
    OomScoreAdj: host.oomScoreAdj,
    PidMode: host.pidMode,
    Privileged: host.privileged,
    PublishAllPorts: host.publishAllPorts,
    ReadonlyRootfs: host.readonlyRootfs,
    SecurityOpt: listOrNull(host.securityOpt),
    StorageOpt: unlessEmptyMap(host.storageOpt),
    Tmpfs: unlessEmptyMap(host.tmpfs),
    UTSMode: host.utsMode,
    UsernsMode: host.usernsMode,
    ShmSize: host.shmSizeBytes,
    Sysctls: unlessEmptyMap(host.sysctls),
    Runtime: host.runtime === "" ? undefined : host.runtime,
    Isolation: host.isolation,
    ...encodeResources(host.resources, host.emptyLists),
    Mounts: host.mounts.length === 0 ? undefined : host.mounts.map(encodeMount),
    MaskedPaths: listOrNull(host.maskedPaths),
    ReadonlyPaths: listOrNull(host.readonlyPaths),
    Init: host.init,
  };
}

/** Ports by `80/tcp`; unpublished ones are null when `nullWhenUnbound`. */
export function encodePortMap(ports: readonly PortBindings[], nullWhenUnbound = false): JsonOut {
  const entries = ports.map(({ port, bindings }): [string, JsonOut] => {
    const list = bindings.map((each) => ({ HostIp: each.hostIp, HostPort: each.hostPort }));
    return [port, nullWhenUnbound ? nullIfEmpty(list) : list];
  });
  return sorted(Object.fromEntries(entries));
}

function unlessEmptyMap(map: Readonly<Record<string, string>>): Record<string, string> | undefined {
  return Object.keys(map).length === 0 ? undefined : sorted(map);
}

function encodeMount(mount: Mount): JsonOut {
  const { bindOptions: bind, volumeOptions: volume, tmpfsOptions: tmpfs, imageOptions } = mount;
  return {
    Type: mount.type,
    Source: mount.source === "" ? undefined : mount.source,
    Target: mount.target,
    ReadOnly: mount.readOnly || undefined,
    Consistency: mount.consistency === "" ? undefined : mount.consistency,
    BindOptions: bind && {
      Propagation: bind.propagation === "" ? undefined : bind.propagation,
      NonRecursive: bind.nonRecursive || undefined,
      CreateMountpoint: bind.createMountpoint || undefined,
      ReadOnlyNonRecursive: bind.readOnlyNonRecursive || undefined,
      ReadOnlyForceRecursive: bind.readOnlyForceRecursive || undefined,
    },
    VolumeOptions: volume && {
      NoCopy: volume.noCopy || undefined,
      Labels: unlessEmptyMap(volume.labels),
      DriverConfig:
        volume.driverGiven ||
        volume.driverName !== "" ||
        Object.keys(volume.driverOptions).length > 0
          ? { Name: volume.driverName || undefined, Options: unlessEmptyMap(volume.driverOptions) }
          : undefined,
      Subpath: volume.subpath === "" ? undefined : volume.subpath,
    },
    ImageOptions: imageOptions && {
      Subpath: imageOptions.subpath === "" ? undefined : imageOptions.subpath,
    },
    TmpfsOptions: tmpfs && {
      SizeBytes: tmpfs.sizeBytes === 0n ? undefined : tmpfs.sizeBytes,
      Mode: tmpfs.mode === 0 ? undefined : tmpfs.mode,
      Options: tmpfs.options.length === 0 ? undefined : tmpfs.options.map((each) => each.values),
    },
  };
}
