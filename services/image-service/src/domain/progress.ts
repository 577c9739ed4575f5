/** Messages of Docker's progress streams. */
export interface Progress {
  /** What it is about: a layer's 12 digits or a tag. */
  readonly id?: string;
  readonly status?: string;
  /** Printed as it is. */
  readonly stream?: string;
  /** progressDetail; `{}` is sent as an empty object. */
  readonly detail?: { readonly current?: number; readonly total?: number; readonly units?: string };
  /** JSON for `aux`. */
  readonly aux?: string;
}

/** Takes messages in order. */
export type Emit = (progress: Progress) => void;
