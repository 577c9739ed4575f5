export { makeDockerConfig } from "./cli-plugins.ts";
export { type EngineRoots, type EngineRootsOptions, openEngineRoots } from "./engine-roots.ts";
export { type EventuallyOptions, eventually } from "./eventually.ts";
export { hasEnded } from "./has-ended.ts";
export {
  type EngineNames,
  findEngineLeaks,
  findLeaks,
  type LeakScope,
  leftProcesses,
} from "./leaks.ts";
export { type NatsOptions, type NatsServer, startNats } from "./nats-server.ts";
export { cleanEnvironment, mustRun, type Ran, type RunOptions, run } from "./run.ts";
export { type ServiceProcess, type StartServiceOptions, startService } from "./service-process.ts";
