/** Containers of steps as container-service is asked for them. */
import { create } from "@bufbuild/protobuf";
import {
  ContainerConfigSchema,
  HostConfigSchema,
  type Resources,
  ResourcesSchema,
} from "@gantry/proto/container";
import type { HealthcheckConfig } from "../../domain/image-config.ts";
import type { RunLimits } from "../../ports/build.ts";
import type { DeclaredContainer, StepContainer } from "../../ports/containers.ts";

/** A container over a layer, of the build until it is kept. */
export function createRequest(container: StepContainer) {
  return {
    config: create(ContainerConfigSchema, {
      hostname: container.hostname,
      user: container.user,
      env: [...container.env],
      cmd: { values: [...container.args] },
      image: container.label,
      workingDir: container.cwd,
      volumes: [...container.volumes],
      healthcheck: { test: { values: ["NONE"] } },
    }),
    hostConfig: create(HostConfigSchema, {
      ...hostConfigOf(container),
      privileged: container.privileged,
      init: false,
      mounts: [
        ...container.binds.map(({ source, target, readOnly }) => ({
          type: "bind",
          source,
          target,
          readOnly,
        })),
        ...container.tmpfs.map(({ target, sizeBytes }) => ({
          type: "tmpfs",
          target,
          ...(sizeBytes > 0 && { tmpfsOptions: { sizeBytes: BigInt(sizeBytes) } }),
        })),
      ],
    }),
    buildStep: { parentLayer: container.parentLayer },
  };
}

/** A container of the user's, over an image. */
export function declareRequest(container: DeclaredContainer) {
  const { config } = container;
  return {
    config: create(ContainerConfigSchema, {
      image: container.image,
      cmd: { values: [...container.args] },
      // What else there is comes from the image below, unless it is the step that says it.
      env: [...(config.Env ?? [])],
      user: config.User ?? "",
      workingDir: config.WorkingDir ?? "",
      labels: { ...config.Labels },
      volumes: Object.keys(config.Volumes ?? {}).sort(),
      exposedPorts: Object.keys(config.ExposedPorts ?? {}).sort(),
      stopSignal: config.StopSignal ?? "",
      onBuild: [...(config.OnBuild ?? [])],
      ...(config.Entrypoint && { entrypoint: { values: [...config.Entrypoint] } }),
      ...(config.Shell !== undefined && { shell: { values: [...config.Shell] } }),
      ...(config.Healthcheck !== undefined && { healthcheck: healthOf(config.Healthcheck) }),
    }),
    hostConfig: create(HostConfigSchema, hostConfigOf(container)),
  };
}

function healthOf(check: HealthcheckConfig) {
  return {
    test: { values: [...check.Test] },
    intervalNs: BigInt(check.Interval ?? 0),
    timeoutNs: BigInt(check.Timeout ?? 0),
    startPeriodNs: BigInt(check.StartPeriod ?? 0),
    startIntervalNs: BigInt(check.StartInterval ?? 0),
    retries: check.Retries ?? 0,
  };
}

function hostConfigOf({
  limits,
  network,
  extraHosts,
}: Pick<StepContainer, "limits" | "network" | "extraHosts">) {
  return {
    networkMode: network === "" ? "default" : network,
    logConfig: { type: "none" },
    ...(extraHosts.length > 0 && { extraHosts: { values: [...extraHosts] } }),
    shmSizeBytes: BigInt(limits.shmSizeBytes),
    resources: resourcesOf(limits),
  };
}

function resourcesOf(limits: RunLimits): Resources {
  return create(ResourcesSchema, {
    memoryBytes: BigInt(limits.memoryBytes),
    memorySwapBytes: BigInt(limits.memorySwapBytes),
    cpuShares: BigInt(limits.cpuShares),
    cpuPeriodUs: BigInt(limits.cpuPeriodUs),
    cpuQuotaUs: BigInt(limits.cpuQuotaUs),
    cpusetCpus: limits.cpusetCpus,
    cpusetMems: limits.cpusetMems,
    cgroupParent: limits.cgroupParent,
    ulimits: limits.ulimits.map(({ name, soft, hard }) => ({
      name,
      soft: BigInt(soft),
      hard: BigInt(hard),
    })),
  });
}
