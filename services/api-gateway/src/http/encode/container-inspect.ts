/** Container → the answer of GET /containers/{id}/json. */
import type { Container, ContainerState, Health, MountPoint } from "@gantry/proto/container";
import { encodeConfig } from "./container-config.ts";
import { encodeDescriptor } from "./descriptor.ts";
import { encodeNetworkSettings } from "./endpoint.ts";
import { encodeHostConfig } from "./host-config.ts";
import { type JsonOut, nullIfEmpty, unlessEmpty } from "./json.ts";
import { rfc3339 } from "./time.ts";
import { opened } from "./version-gates.ts";

/** Name of the snapshotter: what Docker calls the driver. */
export const snapshotter = "overlayfs";

/** Encodes all of a container. */
export function encodeContainer(container: Container, version: number): JsonOut {
  const { config, hostConfig } = container;
  return {
    Id: container.id,
    Created: rfc3339(container.createdNano),
    Path: container.path,
    Args: container.args,
    State: encodeState(container.state),
    Image: container.imageId,
    ResolvConfPath: container.resolvConfPath,
    HostnamePath: container.hostnamePath,
    HostsPath: container.hostsPath,
    LogPath: container.logPath,
    Name: `/${container.name}`,
    RestartCount: container.restartCount,
    Driver: snapshotter,
    Platform: container.platform,
    MountLabel: "",
    ProcessLabel: "",
    AppArmorProfile: container.apparmorProfile,
    ExecIDs: nullIfEmpty(container.execIds),
    HostConfig: hostConfig ? encodeHostConfig(hostConfig, version) : null,
    ...encodeStorage(version),
    SizeRw: container.sizeRwBytes,
    SizeRootFs: container.sizeRootfsBytes,
    Mounts: container.mounts.map(encodeMountPoint),
    Config: config ? encodeConfig(config, version) : null,
    NetworkSettings: encodeNetworkSettings(container.networkSettings, version, [
      container.id.slice(0, 12),
      ...(config === undefined || config.hostname === "" ? [] : [config.hostname]),
    ]),
    ImageManifestDescriptor:
      opened("manifestDescriptor", version) && container.imageManifestDescriptor
        ? encodeDescriptor(container.imageManifestDescriptor)
        : undefined,
  };
}

/** Where the root file system is kept: the newer object, or the older driver's name. */
function encodeStorage(version: number): Record<string, JsonOut> {
  return opened("storage", version)
    ? { Storage: { RootFS: { Snapshot: { Name: snapshotter } } } }
    : { GraphDriver: { Data: null, Name: snapshotter } };
}

function encodeState(state: ContainerState | undefined): JsonOut {
  if (state === undefined) return null;
  return {
    Status: state.status,
    Running: state.running,
    Paused: state.paused,
    Restarting: state.restarting,
    OOMKilled: state.oomKilled,
    Dead: state.dead,
    Pid: state.pid,
    ExitCode: state.exitCode,
    Error: state.error,
    StartedAt: rfc3339(state.startedAtNano),
    FinishedAt: rfc3339(state.finishedAtNano),
    Health: state.health && encodeHealth(state.health),
  };
}

function encodeHealth(health: Health): JsonOut {
  return {
    Status: health.status,
    FailingStreak: health.failingStreak,
    Log: health.log.map((probe) => ({
      Start: rfc3339(probe.startNano),
      End: rfc3339(probe.endNano),
      ExitCode: probe.exitCode,
      Output: probe.output,
    })),
  };
}

/** One mount as inspect and lists show it. */
export function encodeMountPoint(mount: MountPoint): JsonOut {
  return {
    Type: unlessEmpty(mount.type),
    Name: unlessEmpty(mount.name),
    Source: mount.source,
    Destination: mount.destination,
    Driver: unlessEmpty(mount.driver),
    Mode: mount.mode,
    RW: mount.rw,
    Propagation: mount.propagation,
  };
}
