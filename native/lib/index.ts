/** Typed face of native/: the kernel through the addon, and the programs that the build made. */
export { nativeArtifact } from "./artifacts.ts";
export type {
  BodyOutcome,
  ChildExit,
  ContainerInterface,
  DescriptorKernel,
  Kernel,
  KernelError,
  LaunchedProcess,
  LaunchOptions,
  Link,
  LinkAddress,
  MountKernel,
  NetworkKernel,
  NewLink,
  NftablesKernel,
  OverlayMount,
  PathKernel,
  ProcessKernel,
  Route,
  RulesetChange,
  SeccompCondition,
  SeccompKernel,
  SeccompProfile,
  SeccompRule,
  Watch,
} from "./kernel.ts";
export { loadKernel } from "./load.ts";
export { removeTree } from "./remove-tree.ts";
export { reserveLogSpace } from "./reserve-log-space.ts";
export { type OciSeccomp, parseSeccomp, seccompFlags } from "./seccomp.ts";
