/** Where a step's volumes would be: Docker makes a container for a VOLUME, which fails over what is no folder. */
import { statSync } from "node:fs";
import { BuildFailure, MissingSource } from "../../domain/build-failure.ts";
import type { BuilderParts } from "../builder-parts.ts";
import type { PlannedStep } from "../planned-stage.ts";
import type { SolveSession } from "../solver.ts";

/** Throws BuildFailure for a volume in whose place there is a file. */
export async function refuseVolumesOverFiles(
  { layers, files }: Pick<BuilderParts, "layers" | "files">,
  { instruction, state }: PlannedStep,
  session: SolveSession,
  signal: AbortSignal,
): Promise<void> {
  const { snapshot } = await session.result(state.tree);
  if (snapshot === "") return;
  await using tree = await layers.read(snapshot, signal);
  const isFile = (volume: string): boolean => {
    try {
      return !statSync(files.find(tree.root, volume)).isDirectory();
    } catch (error) {
      if (error instanceof MissingSource) return false;
      throw error;
    }
  };
  const volume = Object.keys(state.document.config.Volumes ?? {}).find(isFile);
  if (volume === undefined) return;
  const reason = `cannot mount volume over existing file, file exists ${volume}`;
  throw new BuildFailure(reason, instruction.lines);
}
