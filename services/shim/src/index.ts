/** Package entry of the shim's brain: what container-service and the served form may use. */
export type { CallOptions, ShimApi, ShimCalls } from "./api.ts";
export type { ShimOptions } from "./options.ts";
