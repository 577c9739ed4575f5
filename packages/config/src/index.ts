export {
  type EngineConfig,
  type Environment,
  loadConfig,
  readNatsUrl,
  type ServiceName,
  type ServicePaths,
  servicePaths,
  wakeSocketPath,
} from "./engine-config.ts";
export {
  activationDescriptor,
  cleanEnvironment,
  engineEnvironment,
  onReload,
  type ReloadHandlers,
  socketAccess,
  takeUsualUmask,
  untilTerminated,
} from "./environment.ts";
export { parsePointInTime } from "./point-in-time.ts";
export type {
  AddressPool,
  BuildCacheRule,
  BuildCacheSettings,
  CacheBounds,
  ContainerDefaults,
  DaemonSettings,
  NetworkSettings,
  ProxySettings,
  RegistrySettings,
  TlsSettings,
  Ulimit,
} from "./settings.ts";
export { parseSizeBytes } from "./value-syntax.ts";
