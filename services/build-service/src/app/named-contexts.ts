/** Trees that the client gives a name for: images, and files. */
import type { Platform } from "@gantry/oci";
import { BuildFailure } from "../domain/build-failure.ts";
import type { Instruction } from "../domain/dockerfile/instruction.ts";
import type { LineRange } from "../domain/dockerfile/syntax-error.ts";
import { type Vertex, vertexOf } from "../domain/solver/vertex.ts";
import type { ContextSource } from "../ports/build-inputs.ts";
import type { BaseImage } from "../ports/layers.ts";
import { imageVertex } from "./base-states.ts";
import { findImage } from "./find-image.ts";
import type { PlanContext } from "./plan-context.ts";

/** What a build was given under a name. */
export function namedContext({ inputs }: PlanContext, name: string): ContextSource | undefined {
  return inputs.namedContexts.get(name.toLowerCase());
}

/** A named context that there is. Throws BuildFailure for others. @param lines of who wants it */
export function knownContext(
  context: PlanContext,
  name: string,
  lines: LineRange | undefined,
): Exclude<ContextSource, { kind: "unknown" }> | undefined {
  const source = namedContext(context, name);
  if (source?.kind !== "unknown") return source;
  throw new BuildFailure(`unsupported context source ${source.scheme} for ${name}`, lines);
}

/** The image of a named context, as a vertex of its own. */
export async function contextImage(
  context: PlanContext,
  name: string,
  source: Extract<ContextSource, { kind: "image" | "layout" }>,
  platform: Platform,
  by: Instruction,
): Promise<{ readonly image: BaseImage; readonly tree: Vertex }> {
  const inContext = `[context ${name}]`;
  if (source.kind === "image") {
    const { reference } = source;
    const image = await findImage(context, reference, platform, by, name);
    const resolved = context.fullName(reference) ?? reference;
    const told = { name: `${inContext} ${reference}`, lines: undefined, resolved };
    return { image, tree: imageVertex(image, reference, platform, told) };
  }
  const image = await context.layout(source, name, platform);
  const resolved = `${context.fullName(name) ?? name}@${source.digest}`;
  const told = { name: `${inContext} OCI load from client`, lines: undefined, resolved };
  return { image, tree: imageVertex(image, resolved, platform, told) };
}

/** A named context of files. What it leaves out is known before it is opened. */
export async function contextFiles(
  name: string,
  source: Extract<ContextSource, { kind: "local" | "remote" }>,
): Promise<Vertex> {
  if (source.kind === "local") await source.ignore?.();
  const load = `[context ${name}] load from client`;
  return filesVertex(`context:${name.toLowerCase()}`, load);
}

/** Files from outside, whose content counts when it is asked for. */
export function filesVertex(source: string, name: string): Vertex {
  return vertexOf({ kind: "files", source, checksum: "", keepGitDir: false }, [], { name });
}
