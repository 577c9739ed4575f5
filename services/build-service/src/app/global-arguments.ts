/** ARG before the first FROM: what FROM can use, and stages can ask for. */
import { hostPlatform } from "@gantry/oci";
import { BuildFailure } from "../domain/build-failure.ts";
import { expandWord } from "../domain/dockerfile/expand.ts";
import { platformArguments } from "../domain/frontend/arguments.ts";
import type { PlanContext } from "./plan-context.ts";

/** Their values by name, platforms and the target included. Throws BuildFailure. */
export function globalArguments(context: PlanContext): ReadonlyMap<string, string> {
  const { file, request, platform, target, escape, style } = context;
  // The classic builder has none of platforms.
  const known =
    style === "classic"
      ? new Map<string, string>()
      : platformArguments(hostPlatform(), platform, target.named ? target.name : "");
  for (const [name, value] of request.buildArgs) {
    if (known.has(name) && value !== undefined) known.set(name, value);
  }
  for (const { args, lines } of file.globalArgs) {
    for (const { name, defaultValue } of args) {
      try {
        const value =
          request.buildArgs.get(name) ??
          (defaultValue === undefined
            ? undefined
            : expandWord(defaultValue, (each) => known.get(each), { escape }).text);
        if (value !== undefined) known.set(name, value);
      } catch (error) {
        throw new BuildFailure(error instanceof Error ? error.message : String(error), lines);
      }
    }
  }
  return known;
}
