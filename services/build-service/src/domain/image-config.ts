/** The image config that instructions write: Docker's JSON names, so that it is stored as it is. */
import type { HistoryItem } from "@gantry/oci";

/** `config.Healthcheck`. Durations in nanoseconds, absent = inherited. */
export interface HealthcheckConfig {
  readonly Test: readonly string[];
  readonly Interval?: number;
  readonly Timeout?: number;
  readonly StartPeriod?: number;
  readonly StartInterval?: number;
  readonly Retries?: number;
}

/** `config` of an image. What we don't know is kept. */
export interface RunConfig {
  readonly User?: string;
  readonly ExposedPorts?: Readonly<Record<string, object>>;
  readonly Env?: readonly string[];
  readonly Entrypoint?: readonly string[] | null;
  readonly Cmd?: readonly string[] | null;
  readonly Volumes?: Readonly<Record<string, object>>;
  readonly WorkingDir?: string;
  readonly Labels?: Readonly<Record<string, string>>;
  readonly StopSignal?: string;
  readonly ArgsEscaped?: boolean;
  readonly Healthcheck?: HealthcheckConfig;
  readonly OnBuild?: readonly string[] | null;
  readonly Shell?: readonly string[];
  readonly [other: string]: unknown;
}

/** An image config but for `rootfs` and `created`, which are known when layers are packed. */
export interface ImageConfigDocument {
  readonly author?: string;
  readonly architecture: string;
  readonly os: string;
  readonly variant?: string;
  readonly config: RunConfig;
  /** Steps, oldest first. `created` is filled in when it is absent. */
  readonly history: readonly HistoryItem[];
  readonly [other: string]: unknown;
}
