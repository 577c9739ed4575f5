/** From an OCI bundle and what the machine is like to the plan that the shim process carries out. Pure. */
import { invalidArgument } from "@gantry/errors";
import type { RuntimeHooks, RuntimeProcess, RuntimeSpec } from "@gantry/oci/runtime-spec";
import type { LaunchRequest, StreamTicket } from "@gantry/proto/shim";
import { type CgroupLayout, cgroupPathOf } from "./cgroup-layout.ts";
import { compileCgroup } from "./cgroup-plan.ts";
import { compileDevices } from "./devices.ts";
import { rootfsPropagation } from "./mount-options.ts";
import { compileMounts } from "./mounts.ts";
import { compileIdMap, compileNamespaces, makesNamespace } from "./namespaces.ts";
import type { HookPlan, LaunchPlanInit } from "./plan-types.ts";
import { compileProcess } from "./process.ts";
import { compileSysctls } from "./sysctls.ts";

/** Version of the protocol with the shim process. */
export const protocolVersion = 1;

/** The machine and the engine, as far as plans depend on them. */
export interface LaunchContext {
  readonly layout: CgroupLayout;
  /** Name of the cgroup that holds containers without a path of their own. */
  readonly cgroupParent: string;
  readonly parentCpuset: { readonly cpus: string; readonly mems: string } | undefined;
  readonly capabilityBound: bigint;
  readonly seccomp: { readonly program: Uint8Array; readonly flags: number } | undefined;
  readonly nonce: Uint8Array;
  readonly natsUrlPath: string;
  /** Tickets that were issued before the launch. */
  readonly tickets: readonly StreamTicket[];
}

/** Throws invalid_argument for a bundle that cannot be run, not_implemented for what we cannot do. */
export function compileLaunchPlan(
  spec: RuntimeSpec,
  request: LaunchRequest,
  context: LaunchContext,
): LaunchPlanInit {
  const linux = spec.linux ?? {};
  if (spec.process === undefined) throw invalidArgument("process is missing in config.json");
  if (!spec.process.cwd.startsWith("/"))
    throw invalidArgument(`working directory ${spec.process.cwd} must be absolute`);
  const cgroupPath = cgroupPathOf(linux.cgroupsPath, context.cgroupParent, request.id);
  const mounts = compileMounts(spec.mounts, {
    layout: context.layout,
    cgroupPath,
    cgroupNamespace: makesNamespace(linux.namespaces, "cgroup"),
  });
  return {
    protocolVersion,
    id: request.id,
    nonce: context.nonce,
    exitRecordPath: request.exitRecordPath,
    namespaces: compileNamespaces(linux.namespaces),
    rootfs: compileRootfs(spec, request),
    mounts: mounts.mounts,
    maskedPaths: [...(linux.maskedPaths ?? [])],
    readonlyPaths: [...(linux.readonlyPaths ?? []), ...mounts.readonlyPaths],
    devices: compileDevices(linux.devices),
    cgroup: compileCgroup(linux.resources, {
      layout: context.layout,
      path: cgroupPath,
      parentCpuset: context.parentCpuset,
    }),
    interfaces: request.interfaces,
    sysctls: compileSysctls(linux.sysctl, linux.namespaces),
    ...hostNames(spec),
    process: compileProcess(withVariables(spec.process, request.secretEnv), {
      ...context,
      ...request,
    }),
    ...(request.stdio === undefined ? {} : { stdio: request.stdio }),
    ...(request.log === undefined ? {} : { log: request.log }),
    tickets: [...context.tickets],
    natsUrlPath: context.natsUrlPath,
    rootfsPropagation: rootfsPropagation(linux.rootfsPropagation),
    uidMap: compileIdMap(linux.uidMappings),
    gidMap: compileIdMap(linux.gidMappings),
    hooks: compileHooks(spec.hooks),
    hookStateJson: spec.hooks === undefined ? "" : hookState(spec, request),
    initBinaryPath: request.initBinaryPath,
    awaitBegin: true,
    // A PID namespace of its own dies with its first process; a shared one does not.
    killCgroupOnExit: !makesNamespace(linux.namespaces, "pid"),
    ...(request.names === undefined ? {} : { names: request.names }),
  };
}

function withVariables(process: RuntimeProcess, secretEnv: readonly string[]): RuntimeProcess {
  if (secretEnv.length === 0) return process;
  const nameOf = (variable: string): string => variable.split("=", 1)[0] ?? "";
  const names = new Set(secretEnv.map(nameOf));
  const others = (process.env ?? []).filter((variable) => !names.has(nameOf(variable)));
  return { ...process, env: [...others, ...secretEnv] };
}

function hostNames(spec: RuntimeSpec): Pick<LaunchPlanInit, "hostname" | "domainname"> {
  const hostname = spec.hostname ?? "";
  const domainname = spec.domainname ?? "";
  if ((hostname !== "" || domainname !== "") && !makesNamespace(spec.linux?.namespaces, "uts")) {
    throw invalidArgument("unable to set hostname without a private UTS namespace");
  }
  return { hostname, domainname };
}

function compileRootfs(
  spec: RuntimeSpec,
  request: LaunchRequest,
): NonNullable<LaunchPlanInit["rootfs"]> {
  const { rootfs } = request;
  if (rootfs === undefined) throw invalidArgument("rootfs is missing");
  const mountpoint = rootfs.mountpoint === "" ? (spec.root?.path ?? "") : rootfs.mountpoint;
  if (!mountpoint.startsWith("/"))
    throw invalidArgument(`root path ${mountpoint} must be absolute`);
  return {
    mountpoint,
    lowerDirs: rootfs.lowerDirs,
    upperDir: rootfs.upperDir,
    workDir: rootfs.workDir,
    bindSource: rootfs.bindSource,
    options: rootfs.options,
    readonly: rootfs.readonly || (spec.root?.readonly ?? false),
  };
}

const stages = [
  "prestart",
  "createRuntime",
  "createContainer",
  "startContainer",
  "poststart",
  "poststop",
] as const satisfies readonly (keyof RuntimeHooks)[];

function compileHooks(hooks: RuntimeHooks | undefined): HookPlan[] {
  return stages.flatMap((stage) =>
    (hooks?.[stage] ?? []).map((hook) => {
      if (!hook.path.startsWith("/"))
        throw invalidArgument(`hook path ${hook.path} must be absolute`);
      return {
        stage,
        path: hook.path,
        args: [...(hook.args ?? [hook.path])],
        env: [...(hook.env ?? [])],
        timeoutSeconds: hook.timeout ?? 0,
      };
    }),
  );
}

/** runtime-spec runtime.md#state, without what only the shim process knows. */
function hookState(spec: RuntimeSpec, request: LaunchRequest): string {
  const { ociVersion, annotations } = spec;
  return JSON.stringify({ ociVersion, id: request.id, bundle: request.bundlePath, annotations });
}
