/** A container in memory: its record, and what lives only as long as this process. */
import type { ContainerRecord } from "../domain/container-record.ts";
import { isLive } from "../domain/container-state.ts";
import type { KeptHealth } from "../domain/health.ts";
import { openSerial, type Serial } from "./serial.ts";
import { openWaiters, type Waiters } from "./waiters.ts";

/** Why the process that runs now is being ended, as far as somebody asked for it. */
export type StopIntent = "none" | "stop" | "restart";

/** One container. */
export interface Entry {
  readonly id: string;
  /** Replaced whole at every change, in the same tick as the store's. */
  record: ContainerRecord;
  /** Whatever changes the record, or the kernel's side of it, runs in here. */
  readonly serial: Serial;
  readonly waiters: Waiters;
  intent: StopIntent;
  /** A removal has been asked for and is under way. */
  removing: boolean;
  /** A start of the restart policy that is waiting for its time. */
  restartTimer: NodeJS.Timeout | undefined;
  /** Pause before the run that goes on, 0 when a user started it. */
  restartPauseMs: number;
  /** Absent without a health check, and before the first start. */
  health: KeptHealth | undefined;
  /** Stops the probes of the run that goes on. */
  healthProbes: AbortController | undefined;
  /** The image's name to show, or its ID when the name points elsewhere by now. */
  imageDisplay: string;
}

export function openEntry(record: ContainerRecord): Entry {
  return {
    id: record.id,
    record,
    serial: openSerial(),
    waiters: openWaiters(),
    intent: "none",
    removing: false,
    restartTimer: undefined,
    restartPauseMs: 0,
    health: undefined,
    healthProbes: undefined,
    imageDisplay: record.image.reference,
  };
}

/** PID of the first process, 0 when there is none. */
export function pidOf(entry: Entry): number {
  const { state } = entry.record;
  return isLive(state) ? state.run.launched.pid : 0;
}
