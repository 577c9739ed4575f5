/** Defaults of containers from daemon.json and the runtime. */
import { readFileSync } from "node:fs";
import type { EngineConfig } from "@gantry/config";
import { invalidArgument } from "@gantry/errors";
import {
  defaultCapabilities,
  defaultDeviceRules,
  defaultMaskedPaths,
  defaultMounts,
  defaultReadonlyPaths,
  defaultSeccompProfile,
  ociVersion,
} from "@gantry/shim";
import { defaultProfileName } from "./adapters/host/apparmor.ts";
import { thermalThrottlePaths } from "./adapters/host/thermal-throttle.ts";
import type { CreateDefaults } from "./app/context.ts";
import type { RuntimeDefaults } from "./domain/bundle/bundle-input.ts";
import type { HostFacts } from "./domain/host-facts.ts";

export function runtimeDefaults(
  config: EngineConfig,
  host: Pick<HostFacts, "apparmor">,
): RuntimeDefaults {
  const { containers } = config;
  return {
    ociVersion,
    capabilities: defaultCapabilities,
    maskedPaths: [...defaultMaskedPaths, ...thermalThrottlePaths()],
    readonlyPaths: defaultReadonlyPaths,
    deviceRules: defaultDeviceRules,
    mounts: defaultMounts,
    seccompProfile: (capabilities) => defaultSeccompProfile(capabilities),
    cgroupParent: config.cgroupParent,
    noNewPrivileges: containers.noNewPrivileges,
    apparmorProfile: host.apparmor ? defaultProfileName : "",
    seccomp: seccompDefault(containers.seccompProfile),
    ulimits: containers.ulimits.map(({ name, soft, hard }) => ({
      name,
      soft: BigInt(soft),
      hard: BigInt(hard),
    })),
  };
}

/** A path is read here, so that a wrong one is an error of the start and not of each container. */
function seccompDefault(profile: string): string {
  if (profile === "builtin" || profile === "unconfined" || profile === "")
    return profile || "builtin";
  const text = readFileSync(profile, "utf8");
  try {
    JSON.parse(text);
  } catch (error) {
    throw invalidArgument(`seccomp profile ${profile} is not valid JSON`, { cause: error });
  }
  return text;
}

export function createDefaults(config: EngineConfig): CreateDefaults {
  const { containers } = config;
  return {
    logDriver: containers.logDriver,
    logOptions: containers.logOptions,
    shmSizeBytes: containers.shmSizeBytes,
    init: containers.init,
    ipcMode: containers.ipcMode,
    cgroupnsMode: containers.cgroupNamespaceMode,
  };
}
