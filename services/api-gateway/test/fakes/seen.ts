/** Calls seen, by method. */
export interface Seen {
  readonly method: string;
  readonly request: unknown;
}
