/** Containers of RUN, run by container-service. */

import type { RunLimits } from "./build.ts";
import type { LogStream } from "./progress.ts";

/** A host path shown in the container. */
export interface StepBind {
  readonly source: string;
  readonly target: string;
  readonly readOnly: boolean;
}

/** A program to run. */
export interface StepContainer {
  /** Layer below its root file system. */
  readonly parentLayer: string;
  readonly args: readonly string[];
  readonly env: readonly string[];
  /** Variables that nothing keeps or tells. */
  readonly secretEnv: readonly string[];
  readonly cwd: string;
  readonly user: string;
  readonly hostname: string;
  /** Empty: the default bridge. */
  readonly network: string;
  readonly extraHosts: readonly string[];
  readonly privileged: boolean;
  readonly limits: RunLimits;
  readonly binds: readonly StepBind[];
  readonly tmpfs: readonly { readonly target: string; readonly sizeBytes: number }[];
  /** Name shown where a container's image is. */
  readonly label: string;
  /** If its program fails, it is left to the caller. */
  readonly leaveFailed: boolean;
}

/** What came of it. The snapshot's key is the container's ID. */
export interface StepRun {
  readonly exitCode: number;
  /** Killed for memory. */
  readonly oomKilled: boolean;
}

/** Runs containers. */
export interface StepContainers {
  /**
   * Runs a program to its end; kills it when the signal aborts. The container of a program that failed
   * is gone then, unless it is to be left, that of others goes behind the caller's back.
   * @param onStart called with the container's ID before it starts
   * @param finish called after the end, while the snapshot is still there
   */
  run(
    container: StepContainer,
    hooks: {
      readonly onStart: (id: string) => void;
      readonly onOutput: (stream: LogStream, bytes: Uint8Array) => void;
      readonly finish: (id: string, run: StepRun) => Promise<void>;
    },
    signal: AbortSignal,
  ): Promise<StepRun>;
  /** Makes a container that was left one of the user's, over an image with the layers below it. */
  keep(id: string, imageId: string): Promise<void>;
  /** Removes a container that was left. */
  discard(id: string): Promise<void>;
  /** Resolves when the containers of all that has been run so far are gone. */
  settled(): Promise<void>;
  /** Removes what earlier processes of ours left. */
  removeLeftovers(): Promise<void>;
}
