/** What the classic builder does with the containers of its steps, which it shows to the user. */
import type { Logger } from "@gantry/logging";
import type { StageState } from "../../domain/frontend/stage-state.ts";
import type { BuildRequest } from "../../ports/build.ts";
import type { StepContainers } from "../../ports/containers.ts";

/** What the containers are made and kept with. */
export interface ContainersOfStepsOptions {
  readonly containers: StepContainers;
  readonly request: Pick<BuildRequest, "limits" | "extraHosts" | "networkMode">;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

export class ContainersOfSteps {
  readonly #options: ContainersOfStepsOptions;

  constructor(options: ContainersOfStepsOptions) {
    this.#options = options;
  }

  /**
   * Keeps a container that was left, over the image of what was there before its step. A failure of this is told in
   * the log: the step's own is what the client hears of.
   */
  async keep(container: string, image: string): Promise<void> {
    const { containers, logger } = this.#options;
    try {
      await containers.keep(container, image);
    } catch (error) {
      logger.warn({ err: error, container }, "container of a step is not kept");
      await containers.discard(container);
    }
  }

  /** Takes a container away that was left, if it was. */
  async discard(container: string): Promise<void> {
    await this.#options.containers.discard(container);
  }

  /** Makes a container of a step that runs nothing. @returns its ID */
  async declare(state: StageState, args: readonly string[], image: string): Promise<string> {
    const { containers, request, signal } = this.#options;
    const { limits, extraHosts, networkMode } = request;
    const network = networkMode === "default" ? "" : networkMode;
    const { config } = state.document;
    return await containers.declare({ image, args, config, limits, extraHosts, network }, signal);
  }
}
