/** What instructions of a stage change: the tree, the config, the arguments. */
import type { HistoryItem, Platform } from "@gantry/oci";
import type { Lookup } from "../dockerfile/expand.ts";
import type { ImageConfigDocument, RunConfig } from "../image-config.ts";
import type { Vertex } from "../solver/vertex.ts";

/** Docker's PATH for images without one. */
export const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** A stage at some instruction. Replaced, never changed. */
export interface StageState {
  readonly tree: Vertex;
  readonly document: ImageConfigDocument;
  /** Arguments declared so far; undefined value: declared, not set. */
  readonly args: ReadonlyMap<string, string | undefined>;
  /** Arguments that hide a variable of their name: they were given after it. */
  readonly hiding: ReadonlySet<string>;
  /** CMD was given in this stage. */
  readonly hasCommand: boolean;
  readonly platform: Platform;
}

/** Another config. */
export function withConfig(state: StageState, change: Partial<RunConfig>): StageState {
  return {
    ...state,
    document: { ...state.document, config: { ...state.document.config, ...change } },
  };
}

/** One more step of history. */
export function withHistory(state: StageState, item: HistoryItem): StageState {
  const history = [...state.document.history, item];
  return { ...state, document: { ...state.document, history } };
}

/** `KEY=value` entries as a map, the last of a key counts. */
export function envMap(env: readonly string[]): Map<string, string> {
  return new Map(
    env.map((entry) => {
      const equals = entry.indexOf("=");
      return equals < 0 ? [entry, ""] : [entry.slice(0, equals), entry.slice(equals + 1)];
    }),
  );
}

/** Puts a variable in, in the place of an earlier value. */
export function putEnv(env: readonly string[], key: string, value: string): string[] {
  const entry = `${key}=${value}`;
  const index = env.findIndex((each) => each.startsWith(`${key}=`));
  return index < 0 ? [...env, entry] : env.with(index, entry);
}

/** Variables that an instruction sees: ENV goes before the ARGs that don't hide it. */
export function lookupIn({ document, args, hiding }: StageState): Lookup {
  const env = envMap(document.config.Env ?? []);
  return (name) => (hiding.has(name) ? args.get(name) : (env.get(name) ?? args.get(name)));
}

/** Arguments that are set and that no ENV hides, in the order of declaration. */
export function setArguments(state: StageState): [string, string][] {
  const env = envMap(state.document.config.Env ?? []);
  return [...state.args].flatMap(([name, value]) =>
    value === undefined || env.has(name) ? [] : [[name, value] as [string, string]],
  );
}

/** Environment of a RUN. */
export function runEnvironment(state: StageState): string[] {
  let env = [...(state.document.config.Env ?? [])];
  for (const [name, value] of setArguments(state)) env.push(`${name}=${value}`);
  for (const name of state.hiding) env = putEnv(env, name, state.args.get(name) ?? "");
  return env;
}

/** Joins an absolute or relative path to a directory, clean. */
export function joinPath(directory: string, path: string): string {
  const segments: string[] = [];
  for (const segment of (path.startsWith("/") ? path : `${directory}/${path}`).split("/")) {
    if (segment === "..") segments.pop();
    else if (segment !== "" && segment !== ".") segments.push(segment);
  }
  return `/${segments.join("/")}`;
}
