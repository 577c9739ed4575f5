/** What the instructions of a stage are dispatched with. */

import type { Vertex } from "../solver/vertex.ts";
import type { StageState } from "./stage-state.ts";

/** Which of Docker's builders is spoken for: they have other texts, and the classic one knows less. */
export type DispatchStyle = "buildkit" | "classic";

/** What dispatching an instruction needs to know of the rest of the build. */
export interface DispatchContext {
  readonly buildArgs: ReadonlyMap<string, string | undefined>;
  /** Values of ARGs before the first FROM, and of platforms. */
  readonly globalArgs: ReadonlyMap<string, string>;
  readonly proxyEnv: readonly string[];
  readonly escape: string;
  readonly style: DispatchStyle;
  readonly networkMode: string;
  readonly hostname: string;
  readonly ignoreCache: boolean;
  /** The tree that `--from` means: a stage, a named context or an image. */
  from(name: string): Vertex;
  /** The main context. */
  context(): Vertex;
  /** Name of a step's vertex: `[stage 2/7] RUN make`. */
  stepName(text: string, state: StageState): string;
  /** Comment of history entries. */
  readonly comment: string;
  /** Text of a history entry: BuildKit's and the classic builder's differ. */
  created(text: string, kind: "run" | "copy" | "config", state: StageState): string;
}

/** Keeps the inputs of a vertex apart, each once. Input 0 is the tree. */
export class Inputs {
  readonly list: Vertex[] = [];

  add(vertex: Vertex): number {
    const known = this.list.findIndex(({ digest }) => digest === vertex.digest);
    if (known >= 0) return known + 1;
    return this.list.push(vertex);
  }
}
