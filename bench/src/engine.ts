/** What the benchmark needs to know of an engine, ours or the peer. */

/** A running engine. */
export interface Engine extends AsyncDisposable {
  /** `gantry` or `dockerd`. */
  readonly name: string;
  /** Version text for the report. */
  readonly version: string;
  /** Value for DOCKER_HOST. */
  readonly dockerHost: string;
  /** Name of the network namespace that its daemons run in, or undefined for the machine's. */
  readonly netns: string | undefined;
  /** A text in the command line or environment of every daemon of this engine, or of one of its ancestors. */
  readonly mark: string;
}
