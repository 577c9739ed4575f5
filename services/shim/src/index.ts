/** Package entry of the shim's brain: what container-service and the served form may use. */
export type { ShimApi } from "./api.ts";
export { capabilityMask, defaultCapabilities } from "./compile/capabilities.ts";
export { defaultSeccompProfile } from "./compile/default-seccomp.ts";
export {
  defaultDeviceRules,
  defaultMaskedPaths,
  defaultMounts,
  defaultReadonlyPaths,
  defaultShmSizeBytes,
  ociVersion,
} from "./compile/defaults.ts";
export { mountExtensions } from "./compile/mount-options.ts";
export { createShim } from "./create-shim.ts";
export type { LaunchStep, ShimOptions } from "./options.ts";
