/** Containers of RUN, run by container-service. */

import type { RunConfig } from "../domain/image-config.ts";
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
  /** Paths at which it has a volume of its own, which goes with it. */
  readonly volumes: readonly string[];
  /** Name shown where a container's image is. */
  readonly label: string;
  /** When it is left to the caller. */
  readonly leave: LeftContainers;
}

/** Containers of steps that outlive them: none, those whose program failed, or all. */
export type LeftContainers = "none" | "failed" | "all";

/** A container that never runs: what the classic builder makes of a step that only changes the config. */
export interface DeclaredContainer {
  /** ID of the image below it. */
  readonly image: string;
  readonly args: readonly string[];
  /** The step's config, JSON with Docker's field names. */
  readonly config: RunConfig;
  readonly limits: RunLimits;
  readonly network: string;
  readonly extraHosts: readonly string[];
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
   * Runs a program to its end; kills it when the signal aborts. Unless it is to be left, the container of a
   * program that failed is gone then, that of others goes behind the caller's back.
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
  /** Makes a container of the user's, which is not started. @returns its ID */
  declare(container: DeclaredContainer, signal: AbortSignal): Promise<string>;
  /** Removes a container that was left. */
  discard(id: string): Promise<void>;
  /** Resolves when the containers of all that has been run so far are gone. */
  settled(): Promise<void>;
  /** Removes what earlier processes of ours left. */
  removeLeftovers(): Promise<void>;
}
