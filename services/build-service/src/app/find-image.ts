/** Images that a Dockerfile names: looked up, and missed in the words of its builder. */
import type { Platform } from "@gantry/oci";
import { BuildFailure } from "../domain/build-failure.ts";
import { goQuote } from "../domain/dockerfile/go-quote.ts";
import type { Instruction } from "../domain/dockerfile/instruction.ts";
import { didYouMean } from "../domain/dockerfile/nearest.ts";
import type { BaseImage } from "../ports/layers.ts";
import type { PlanContext } from "./plan-context.ts";
import { inBuildkitWords } from "./registry-texts.ts";

/** Looks up an image that an instruction wants. Throws BuildFailure. @param contextName the named context that says so */
export async function findImage(
  context: PlanContext,
  reference: string,
  platform: Platform,
  by: Instruction,
  contextName?: string,
): Promise<BaseImage> {
  try {
    return await context.base(reference, platform, contextName);
  } catch (error) {
    if (!(error instanceof Error) || error.name === "AbortError") throw error;
    // Of mounts the instruction isn't told.
    const isMount = by.kind === "RUN" && context.style === "buildkit";
    const message = notFound(context, reference, by, error, contextName);
    throw new BuildFailure(message, isMount ? undefined : by.lines, { cause: error });
  }
}

function notFound(
  { style, fullName, file }: PlanContext,
  reference: string,
  by: Instruction,
  { message }: Error,
  contextName: string | undefined,
): string {
  if (style === "classic") {
    return by.kind === "FROM" ? message : `invalid from flag value ${reference}: ${message}`;
  }
  const name = fullName(reference);
  if (name === undefined) return `failed to parse stage name ${goQuote(reference)}: ${message}`;
  const reason = inBuildkitWords(message, name);
  const failure = `failed to resolve source metadata for ${name}: ${reason}`;
  if (contextName !== undefined) return failure;
  const names = file.stages.map((each) => each.name);
  return `${reference}: ${failure}${didYouMean(reference, [...names, ...commonImages])}`;
}

/** A reference with the digest that it was resolved to, as progress shows it. */
export function resolvedName(context: PlanContext, reference: string, { id }: BaseImage): string {
  const name = context.fullName(reference) ?? reference;
  return name.includes("@") ? name : `${name}@${id}`;
}

/** Names that a misspelt one may have been meant for. */
const commonImages = ["alpine", "busybox", "centos", "debian", "golang", "ubuntu", "fedora"];
