/** What the brain needs to know about the machine and the engine. */
import type { Logger } from "@gantry/logging";
import type { Kernel } from "@gantry/native";
import type { CgroupLayout } from "./compile/cgroup-layout.ts";

/** Options of {@link createShim}. Paths are absolute. */
export interface ShimOptions {
  /** Run root of the engine; containers live in `<runRoot>/c/<id>`. Made if missing, mode 0700. */
  readonly runRoot: string;
  /** Where compiled seccomp programs are kept between starts; made if missing, may be emptied at any time. */
  readonly cacheDir: string;
  /** Receives one debug line per launch with the time of each phase, warnings, and nothing per event. */
  readonly logger: Logger;
  /** Cgroup below each hierarchy's root that holds containers without a cgroupsPath. Default `gantry`. */
  readonly cgroupParent?: string;
  /** The static per-container program. Default: the one built in native/. */
  readonly shimProgramPath?: string;
  /** File that holds the NATS URL for process events; empty or absent: no process events on NATS. */
  readonly natsUrlPath?: string;
  /** The cgroup hierarchies to use. Default: all that the machine has. */
  readonly cgroupLayout?: CgroupLayout;
  /** The kernel. Default: the addon. */
  readonly kernel?: Kernel;
  /** Called within each step of a launch: for tests of what happens when it is cut off there. */
  readonly onLaunchStep?: (step: LaunchStep, shimPid: number) => void;
}

/**
 * How far a launch is: `prepared` nothing is made; `spawned` its process waits, and nobody knows of
 * it; `recorded` it is written down; `released` it has heard so, and goes on by itself; `started`
 * the program has begun, and the caller does not know yet.
 */
export type LaunchStep = "prepared" | "spawned" | "recorded" | "released" | "started";
