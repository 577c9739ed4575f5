/** What clients are told of the machine that builds. */
import type { Platform } from "@gantry/oci";

export interface WorkerFacts {
  readonly hostname: string;
  /** Whose programs it executes now; its own first. */
  platforms(): readonly Platform[];
  /** The address behind `host-gateway`; undefined: there is none. */
  hostGateway(signal: AbortSignal): Promise<string | undefined>;
}
