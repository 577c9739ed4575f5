/** Mounts of RUN, from flags to what the solver binds. */
import { BuildFailure } from "../build-failure.ts";
import { expandWord } from "../dockerfile/expand.ts";
import type { RunInstruction } from "../dockerfile/instruction.ts";
import type { RunMount } from "../solver/vertex.ts";
import type { DispatchContext, Inputs } from "./dispatch-context.ts";
import { type MountFlag, parseMount } from "./mounts.ts";
import { joinPath, lookupIn, type StageState } from "./stage-state.ts";

const defaultSecretMode = 0o400;
const defaultSocketMode = 0o600;
const defaultCacheMode = 0o755;

export function runMounts(
  state: StageState,
  instruction: RunInstruction,
  context: DispatchContext,
  inputs: Inputs,
): RunMount[] {
  const lookup = lookupIn(state);
  const expand = (word: string): string =>
    expandWord(word, lookup, { escape: context.escape }).text;
  const cwd = state.document.config.WorkingDir || "/";
  let agents = 0;
  return instruction.mounts.map((text) => {
    const flag = parseMount(text, expand);
    if (flag.type === "ssh") agents += 1;
    const hasOwn = flag.type === "secret" || flag.type === "ssh";
    const target = hasOwn && flag.target === "" ? "" : joinPath(cwd, flag.target);
    if (target === "/") throw new BuildFailure(`invalid mount target "/"`);
    return bindMount(flag, target, agents - 1, context, inputs);
  });
}

function bindMount(
  flag: MountFlag,
  target: string,
  agent: number,
  context: DispatchContext,
  inputs: Inputs,
): RunMount {
  const { type, uid = 0, gid = 0, required } = flag;
  switch (type) {
    case "bind": {
      const tree = flag.from === "" ? context.context() : context.from(flag.from);
      const source = joinPath("/", flag.source);
      return { type, input: inputs.add(tree), source, target, writable: !flag.readOnly };
    }
    case "cache": {
      const seeded = flag.from !== "";
      return {
        type,
        id: flag.id === "" ? target : flag.id,
        target,
        sharing: flag.sharing,
        readOnly: flag.readOnly,
        uid,
        gid,
        mode: flag.mode ?? defaultCacheMode,
        input: seeded ? inputs.add(context.from(flag.from)) : undefined,
        source: joinPath("/", flag.source),
      };
    }
    case "tmpfs":
      return { type, target, sizeBytes: flag.sizeBytes };
    case "secret":
      return secretMount(flag, target);
    case "ssh": {
      const socket = target === "" ? `/run/buildkit/ssh_agent.${String(agent)}` : target;
      const mode = flag.mode ?? defaultSocketMode;
      return { type, id: flag.id || "default", target: socket, required, uid, gid, mode };
    }
  }
}

function secretMount(flag: MountFlag, target: string): RunMount {
  const { uid = 0, gid = 0, required, env, mode = defaultSecretMode } = flag;
  const id = flag.id || flag.source || (target.split("/").at(-1) ?? "");
  if (id === "") throw new BuildFailure("one of source, target required");
  const name = id.split("/").at(-1) ?? id;
  const file = target === "" && env === "" ? `/run/secrets/${name}` : target;
  return { type: "secret", id, target: file, env, required, uid, gid, mode };
}
