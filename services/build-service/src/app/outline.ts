/** Parameters that a target takes: arguments, secrets and agents, of the stages that it is made of. */

import { expandWord } from "../domain/dockerfile/expand.ts";
import type { ArgInstruction, Instruction } from "../domain/dockerfile/instruction.ts";
import { fromNames } from "../domain/frontend/from-names.ts";
import { type Stage, type Stages, stageCalled } from "../domain/frontend/stages.ts";
import type {
  Outline,
  OutlineArgument,
  OutlineLoan,
  TargetFacts,
} from "../ports/dockerfile-facts.ts";
import type { PlannedStage } from "./planned-stage.ts";

/** What an outline is made from. */
export interface OutlineSource {
  readonly file: Stages;
  readonly target: Stage;
  /** The target, and whatever it stands on or takes from. */
  readonly planned: readonly PlannedStage[];
  /** Values of arguments before the first FROM, and of those that need no declaration. */
  readonly globals: ReadonlyMap<string, string>;
  /** Names that the client gave values. */
  readonly given: ReadonlySet<string>;
  readonly escape: string;
}

/** Stages as they are written. */
export function targetsOf({ stages }: Stages): TargetFacts[] {
  return stages.map((stage) => ({
    name: stage.named ? stage.name : "",
    isDefault: stage === stages.at(-1),
    description: describedBy(stage.from, stage.named ? stage.name : ""),
    base: stage.from.image,
    platform: stage.from.platform ?? "",
    lines: stage.from.lines,
  }));
}

export function outlineOf(source: OutlineSource): Outline {
  const { target } = source;
  const stages = stagesBelow(source);
  const name = target.named ? target.name : "";
  const loans = (type: "secret" | "ssh"): OutlineLoan[] => inOrder(loansOf(stages, type));
  return {
    ...{ name, description: describedBy(target.from, name) },
    ...{ args: inOrder(argumentsOf(stages, source)) },
    ...{ secrets: loans("secret"), ssh: loans("ssh") },
  };
}

/** The target first, then what it stands on, then what it takes from; each once. */
function stagesBelow({ file, target, planned }: OutlineSource): PlannedStage[] {
  const found = new Set<PlannedStage>();
  const visit = (index: number): void => {
    const plan = planned.find(({ stage }) => stage.index === index);
    if (plan === undefined || found.has(plan)) return;
    found.add(plan);
    if (plan.parent !== undefined) visit(plan.parent);
    for (const name of fromNames(plan.steps.map(({ instruction }) => instruction)).keys()) {
      const other = stageCalled(file.stages, name.toLowerCase());
      if (other !== undefined) visit(other.index);
    }
  };
  visit(target.index);
  return [...found];
}

/** The text of a comment that begins with the name. */
function describedBy({ comments }: Pick<Instruction, "comments">, name: string): string {
  const comment = comments.find((each) => name !== "" && each.startsWith(`${name} `));
  return comment?.slice(name.length).trim() ?? "";
}

interface Declared {
  readonly argument: OutlineArgument;
  /** Names that its default refers to. */
  readonly uses: readonly string[];
}

function argumentsOf(stages: readonly PlannedStage[], source: OutlineSource): OutlineArgument[] {
  const { file, globals, given, escape } = source;
  const declare = (
    { args, lines, comments }: ArgInstruction,
    valueOf: (name: string) => string | undefined,
  ): (readonly [string, Declared])[] =>
    args.map(({ name, defaultValue }) => {
      const description = describedBy({ comments }, name);
      const argument = { name, description, value: valueOf(name), lines };
      return [name, { argument, uses: namesIn(defaultValue ?? "", escape) }];
    });
  const global = new Map(
    file.globalArgs.flatMap((arg) =>
      declare(arg, (name) => {
        const isKnown =
          given.has(name) ||
          arg.args.some((each) => each.name === name && each.defaultValue !== undefined);
        return isKnown ? globals.get(name) : undefined;
      }),
    ),
  );
  const found = new Map<string, OutlineArgument>();
  const take = (name: string, own: ReadonlyMap<string, Declared>): void => {
    const declared = own.get(name) ?? global.get(name);
    if (declared === undefined || found.has(name)) return;
    found.set(name, declared.argument);
    if (!own.has(name)) for (const each of declared.uses) take(each, new Map());
  };
  for (const { stage, steps } of stages) {
    const own = new Map(
      steps.flatMap(({ instruction, state }) =>
        instruction.kind === "ARG" ? declare(instruction, (name) => state.args.get(name)) : [],
      ),
    );
    // One that only passes a global argument on is that argument.
    for (const { instruction } of steps) {
      if (instruction.kind !== "ARG") continue;
      for (const { name, defaultValue } of instruction.args) {
        const isOwn = defaultValue !== undefined || given.has(name);
        if (!isOwn && globals.has(name)) own.delete(name);
      }
    }
    for (const { instruction } of steps) {
      if (instruction.kind === "ARG") for (const { name } of instruction.args) take(name, own);
    }
    const { image, platform = "" } = stage.from;
    for (const name of namesIn(`${image} ${platform}`, escape)) take(name, new Map());
  }
  return [...found.values()];
}

/** Variables that a word refers to. */
function namesIn(word: string, escape: string): string[] {
  const names = new Set<string>();
  expandWord(
    word,
    (name) => {
      names.add(name);
      return "x";
    },
    { escape },
  );
  return [...names];
}

function loansOf(stages: readonly PlannedStage[], type: "secret" | "ssh"): OutlineLoan[] {
  const found = new Map<string, OutlineLoan>();
  for (const { instruction, state } of stages.flatMap(({ steps }) => steps)) {
    const { op } = state.tree;
    if (instruction.kind !== "RUN" || op.kind !== "run") continue;
    for (const mount of op.mounts) {
      if (mount.type !== type || found.has(mount.id)) continue;
      const { id: name, required } = mount;
      found.set(name, { name, required, lines: instruction.lines });
    }
  }
  return [...found.values()];
}

function inOrder<T extends { readonly lines: { readonly first: number } }>(
  list: readonly T[],
): T[] {
  return list.toSorted((one, other) => one.lines.first - other.lines.first);
}
