export { isEngineLocked, takeEngineLock } from "./engine-lock.ts";
export { type EngineState, loadState, type Phase, saveState } from "./engine-state.ts";
export { logPath } from "./log-file.ts";
export { describeProcess, isAlive, type ProcessRecord } from "./process-record.ts";
